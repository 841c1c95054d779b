package node

import (
	"context"
	"io"
	"time"

	"boucan/record"
	"boucan/replica"
	"boucan/share"
	"boucan/webui"
)

// sweepUploadsEvery is how often uploads are looked for whose time is over.
const sweepUploadsEvery = 5 * time.Minute

func (f files) BeginUpload(_ context.Context, id webui.UploadID, name, note string, o webui.DropOptions) (webui.Upload, error) {
	if err := f.refuses(name, o); err != nil {
		return webui.Upload{}, err
	}
	u, err := f.n.blobs.BeginUpload(share.UploadID(id), o.Size, []byte(note))
	return webUpload(u), webError(err)
}

func (f files) LookUpload(ctx context.Context, id webui.UploadID) (webui.Upload, error) {
	u, err := f.n.blobs.LookUpload(ctx, share.UploadID(id))
	return webUpload(u), webError(err)
}

func (f files) AppendUpload(ctx context.Context, id webui.UploadID, offset int64, r io.Reader) (webui.Upload, error) {
	u, err := f.n.library.addTo(ctx, share.UploadID(id), offset, r)
	return webUpload(u), webError(err)
}

func (f files) FinishUpload(ctx context.Context, id webui.UploadID, name string, o webui.DropOptions) (webui.Dropped, error) {
	note, terms := wishes(name, o)
	d, err := f.n.library.finish(ctx, share.UploadID(id), name, note, terms)
	return f.dropped(d, o, err)
}

func (f files) EndUpload(ctx context.Context, id webui.UploadID) error {
	return webError(f.n.blobs.EndUpload(ctx, share.UploadID(id)))
}

func webUpload(u share.Upload) webui.Upload {
	return webui.Upload{Size: u.Size, Offset: u.Offset, Note: string(u.Note), Ends: u.Ends, Done: u.Done}
}

// addTo adds to an upload as far as there is room. What is kept of it counts as
// long as it is kept, see space; meanwhile it is promised, as a drop's bytes are.
func (l *library) addTo(ctx context.Context, id share.UploadID, offset int64, r io.Reader) (share.Upload, error) {
	if err := l.whenCounted(ctx); err != nil {
		return share.Upload{}, err
	}
	p := l.promise(ctx, r)
	defer p.end()
	return l.blobs.AppendUpload(ctx, id, offset, p)
}

// finish makes a drop of an upload that has come whole.
func (l *library) finish(ctx context.Context, id share.UploadID, name string, note record.File, t terms) (dropped, error) {
	if l.records.Blocked(record.File{Name: record.CleanName(name)}) {
		return dropped{}, replica.ErrBlocked
	}
	n := l.drops.begin()
	defer l.drops.end(n)
	u, err := l.blobs.LookUpload(ctx, id)
	if err != nil {
		return dropped{}, err
	}
	l.ledger.carry(u.Size) // from the upload's bytes to the drop's
	defer l.ledger.end(u.Size, u.Size)
	clean := note.Cleaned == record.CleanedUnknown
	d, err := l.blobs.FinishUpload(ctx, id, name, clean)
	if err != nil {
		return dropped{}, err
	}
	if clean {
		note.Cleaned = d.Cleaned
	}
	return l.land(ctx, n, d, note, t)
}

// sweepUploads ends old uploads until ctx ends.
func (l *library) sweepUploads(ctx context.Context) {
	tick := time.NewTicker(sweepUploadsEvery)
	defer tick.Stop()
	for {
		if err := l.blobs.SweepUploads(ctx); err != nil && ctx.Err() == nil {
			l.log.Warn("old uploads could not be removed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
