package membox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"boucan/record"
	"boucan/webui"
)

// upload is an unfinished drop, in memory.
type upload struct {
	turn chan struct{} // holds a token
	data bytes.Buffer
	size int64
	note string
	done *webui.Dropped
}

func (b *Box) find(id webui.UploadID) (*upload, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u := b.uploads[id]
	switch {
	case b.fail != nil:
		return nil, b.fail
	case b.usage.Trouble != nil:
		return nil, b.usage.Trouble
	case u == nil:
		return nil, webui.ErrNoUpload
	}
	return u, nil
}

func (u *upload) tell() webui.Upload {
	return webui.Upload{Size: u.size, Offset: int64(u.data.Len()), Note: u.note, Ends: time.Now().Add(24 * time.Hour), Done: u.done != nil}
}

// take waits for an upload's turn; give must follow.
func (b *Box) take(ctx context.Context, id webui.UploadID) (u *upload, give func(), err error) {
	if u, err = b.find(id); err != nil {
		return nil, nil, err
	}
	select {
	case <-u.turn:
		return u, func() { u.turn <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// BeginUpload implements webui.Uploads. More than a hundred are too many.
func (b *Box) BeginUpload(_ context.Context, id webui.UploadID, _, note string, o webui.DropOptions) (webui.Upload, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.fail != nil:
		return webui.Upload{}, b.fail
	case b.usage.Trouble != nil:
		return webui.Upload{}, b.usage.Trouble
	case o.Size > record.MaxBlob:
		return webui.Upload{}, webui.ErrTooLarge
	case o.Size > b.usage.Room:
		return webui.Upload{}, webui.ErrFull
	case len(b.uploads) >= 100:
		return webui.Upload{}, webui.ErrBusy
	}
	u := &upload{turn: make(chan struct{}, 1), size: o.Size, note: note}
	u.turn <- struct{}{}
	b.uploads[id] = u
	return u.tell(), nil
}

// LookUpload implements webui.Uploads.
func (b *Box) LookUpload(ctx context.Context, id webui.UploadID) (webui.Upload, error) {
	u, give, err := b.take(ctx, id)
	if err != nil {
		return webui.Upload{}, err
	}
	defer give()
	return u.tell(), nil
}

// AppendUpload implements webui.Uploads.
func (b *Box) AppendUpload(ctx context.Context, id webui.UploadID, offset int64, r io.Reader) (webui.Upload, error) {
	u, give, err := b.take(ctx, id)
	if err != nil {
		return webui.Upload{}, err
	}
	defer give()
	if offset != int64(u.data.Len()) {
		return u.tell(), webui.ErrOffset
	}
	_, err = io.Copy(&u.data, io.LimitReader(r, u.size-offset))
	return u.tell(), err
}

// FinishUpload implements webui.Uploads.
func (b *Box) FinishUpload(ctx context.Context, id webui.UploadID, name string, o webui.DropOptions) (webui.Dropped, error) {
	u, give, err := b.take(ctx, id)
	if err != nil {
		return webui.Dropped{}, err
	}
	defer give()
	switch {
	case u.done != nil:
		return *u.done, nil
	case int64(u.data.Len()) != u.size:
		return webui.Dropped{}, webui.ErrOffset
	}
	d, err := b.Drop(ctx, name, bytes.NewReader(u.data.Bytes()), o)
	if err == nil {
		u.done = &d
	}
	return d, err
}

// EndUpload implements webui.Uploads.
func (b *Box) EndUpload(ctx context.Context, id webui.UploadID) error {
	_, give, err := b.take(ctx, id)
	if err != nil {
		return err
	}
	defer give()
	b.with(func() { delete(b.uploads, id) })
	return nil
}

// ErrBroken is an error that no visitor caused.
var ErrBroken = errors.New("the disk made a strange noise")
