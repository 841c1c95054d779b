package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"boucan/control"
	"boucan/record"
	"boucan/share"
)

// fetch opens the bytes of a listed file that are not here, to be read while they
// come. They are guests, unless this box's operator offers them.
func (l *library) fetch(ctx context.Context, cid record.CID) (*share.Reader, error) {
	if l.blobs.Usage().Away {
		return nil, share.ErrAway // what is the operator's own cannot be told now
	}
	if !l.lies(cid) && !l.blobs.Refused(cid) && !l.operators(cid) {
		if err := l.ask(ctx, cid); err != nil {
			return nil, err
		}
		if err := l.guests.mark(cid); err != nil {
			return nil, err
		}
	}
	var claims []share.Wanted
	l.names.sizes(cid, func(size uint64, name string, from record.Key) {
		claims = append(claims, share.Wanted{CID: cid, Size: int64(size), Name: name, From: from})
	})
	return l.blobs.Stream(ctx, claims...)
}

// operators reports whether this box's operator offers these bytes.
func (l *library) operators(cid record.CID) bool {
	mine, _ := l.names.own(cid)
	for _, c := range mine {
		if c.operator {
			return true
		}
	}
	return false
}

func (o operator) Get(ctx context.Context, ref string) (control.File, io.ReadCloser, error) {
	r, err := o.find(ref)
	if err != nil {
		return control.File{}, nil, err
	}
	f := o.file(&r, o.n.landed())
	file, size, err := o.open(ctx, r)
	if err != nil {
		return control.File{}, nil, err
	}
	f.Size = uint64(size) // which the record may have got wrong
	if _, whole := file.(*os.File); whole {
		return f, file, nil // the system can send it by itself
	}
	return f, &patient{ReadSeekCloser: file, ctx: ctx, o: o, row: r, size: size}, nil
}

// open opens a listed file, from its place or while it comes. It waits for as
// long as a box that has it may come.
func (o operator) open(ctx context.Context, r row) (io.ReadSeekCloser, int64, error) {
	for {
		next := o.n.changed.wait()
		file, here, err := o.n.blobs.Open(r.cid)
		if err == nil {
			return file, here.Size, nil
		}
		if err := o.worthWaiting(r, err); err != nil {
			return nil, 0, err
		}
		coming, err := o.n.library.fetch(ctx, r.cid)
		if err == nil {
			return coming, coming.File().Size, nil
		}
		if err := o.worthWaiting(r, err); err != nil {
			return nil, 0, err
		}
		select {
		case <-next:
		case <-time.After(getLook): // not all that may happen to a file is told of
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// getLook is how often Get looks for a file that it waits for.
const getLook = 5 * time.Second

// worthWaiting reports why a file that could not be opened will not come.
func (o operator) worthWaiting(r row, err error) error {
	switch {
	case !o.n.library.names.mentions(r.cid):
		return fmt.Errorf("%w: %s was withdrawn while it was fetched", control.ErrNotFound, r.name)
	case o.n.blobs.Refused(r.cid):
		return fmt.Errorf("%s was removed from this box's folder by hand, so it is not fetched again: get it from another box", r.name)
	case errors.Is(err, share.ErrLied):
		return fmt.Errorf("%s is not as long as its record says, so it is not fetched", r.name)
	case errors.Is(err, share.ErrAway):
		return operatorError(err)
	case errors.Is(err, share.ErrNotHere), errors.Is(err, share.ErrChanged), errors.Is(err, share.ErrSlow), errors.Is(err, share.ErrBusy):
		return nil
	}
	return operatorError(err)
}

// patient reads a file while it comes, and waits where nobody in reach has the
// rest of it any more.
type patient struct {
	io.ReadSeekCloser
	ctx  context.Context // of the request that it answers
	o    operator
	row  row
	size int64
	at   int64
}

func (p *patient) Read(b []byte) (int, error) {
	for {
		n, err := p.ReadSeekCloser.Read(b)
		p.at += int64(n)
		if n > 0 || err == nil || errors.Is(err, io.EOF) {
			return n, err
		}
		if p.ctx.Err() != nil || p.o.worthWaiting(p.row, err) != nil {
			return 0, err
		}
		if err := p.again(); err != nil {
			return 0, err
		}
	}
}

// again opens the file anew at the place that has been reached.
func (p *patient) again() error {
	p.Close() // was only read
	file, size, err := p.o.open(p.ctx, p.row)
	if err != nil {
		return err
	}
	p.ReadSeekCloser = file
	if size != p.size {
		return share.ErrChanged
	}
	_, err = file.Seek(p.at, io.SeekStart)
	return err
}
