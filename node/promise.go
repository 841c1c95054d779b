package node

import (
	"context"
	"fmt"
	"io"

	"boucan/share"
)

// promise is the room of one drop. It grows with what comes, since what a client
// says about the length of a file is a claim; a step at a time, so that a thousand
// open drops of nothing keep no room from others.
type promise struct {
	l        *library
	ctx      context.Context // of the drop that it belongs to
	r        io.Reader
	promised int64
	read     int64
}

// promiseStep is by how much a promise grows at least, in bytes.
const promiseStep = 1 << 20

// promise makes room for what r yields while it is read. end must follow.
func (l *library) promise(ctx context.Context, r io.Reader) *promise {
	return &promise{l: l, ctx: ctx, r: r}
}

// Read fails with share.ErrFull where what was read would not fit.
func (p *promise) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if n <= 0 {
		return n, err
	}
	if short := p.read + int64(n) - p.promised; short > 0 {
		step := max(short, promiseStep)
		if !p.l.ledger.begin(step, p.l.space()) {
			step = short
			if !p.l.freeing(p.ctx, step, func(s space) bool { return p.l.ledger.begin(step, s) }) {
				return 0, fmt.Errorf("keep drop: %w", share.ErrFull)
			}
		}
		p.promised += step
	}
	p.read += int64(n)
	p.l.ledger.wrote(int64(n))
	return n, err
}

// end gives the room back: by now the drop is counted as what it has become.
func (p *promise) end() { p.l.ledger.end(p.promised, p.read) }

// carry promises room that is taken already; end gives it back.
func (g *ledger) carry(size int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dropping += size
	g.written += size
}
