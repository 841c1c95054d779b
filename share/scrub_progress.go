package share

import (
	"encoding/binary"
	"time"
)

// progress is what is kept of a scrub across restarts.
type progress struct {
	paused, alarmed bool
	begun, finished int64 // Unix milliseconds; begun is 0 while none goes on
	last            int64 // the beginning of the last one, Unix milliseconds
	done            int64 // bytes
	files, found    int64
	path            string // the file it is at, or the last that was read
	chunk           int    // of it, to be read next; 0 where all of it was
}

func (p progress) encode() []byte {
	b := []byte{0}
	if p.paused {
		b[0] |= 1
	}
	if p.alarmed {
		b[0] |= 2
	}
	for _, v := range []int64{p.begun, p.finished, p.last, p.done, p.files, p.found, int64(p.chunk)} {
		b = binary.AppendVarint(b, v)
	}
	return append(b, p.path...)
}

func decodeProgress(b []byte) (progress, error) {
	if len(b) == 0 || b[0] > 3 {
		return progress{}, errIndex
	}
	p := progress{paused: b[0]&1 != 0, alarmed: b[0]&2 != 0}
	whole := string(b)
	b = b[1:]
	var chunk int64
	for _, v := range []*int64{&p.begun, &p.finished, &p.last, &p.done, &p.files, &p.found, &chunk} {
		n := 0
		if *v, n = binary.Varint(b); n <= 0 || *v < 0 {
			return progress{}, errIndex
		}
		b = b[n:]
	}
	if chunk > 1<<31-1 {
		return progress{}, errIndex
	}
	if p.chunk, p.path = int(chunk), string(b); string(p.encode()) != whole {
		return progress{}, errIndex
	}
	return p, nil
}

func (p *progress) begin(now time.Time) {
	*p = progress{finished: p.finished, paused: p.paused, begun: max(1, now.UnixMilli())}
	p.last = p.begun
}
