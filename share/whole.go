package share

import (
	"context"
	"fmt"

	"boucan/record"
	"boucan/share/dropdir"
)

// whole is a blob of one chunk, its bytes verified by the caller.
type whole struct {
	w    Wanted
	data []byte
}

// landWhole stores blobs of one chunk, durable as a group, and tells of them
// through Catalog.Arrived. The errors are per blob: nil also for one that was
// here already. The second result fails the whole group.
func (b *Blobs) landWhole(ctx context.Context, ws []whole) ([]error, error) {
	errs := make([]error, len(ws))
	if len(ws) == 0 {
		return errs, nil
	}
	b.use()
	if err := b.writable(); err != nil {
		return nil, fmt.Errorf("store blobs: %w", err)
	}
	fresh, first := eachOnce(ws)
	contents := make([][]byte, 0, len(fresh))
	var size int64
	for _, i := range fresh {
		contents = append(contents, ws[i].data)
		size += int64(len(ws[i].data))
	}
	var files []*dropdir.Aside
	err := b.room(size, func() (err error) {
		files, err = b.dir.WriteAll(ctx, contents)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store blobs: %w", err)
	}
	stored, already := make([]File, len(fresh)), make([]bool, len(fresh))
	changes := make([]*change, len(fresh))
	for n, i := range fresh {
		w := ws[i].w
		m := oneChunk(w.CID, int64(len(ws[i].data)))
		changes[n] = b.keeping(files[n], m, record.CleanName(w.Name), w.CID.Short(), &stored[n], &already[n])
	}
	_ = b.commit(changes...) // each change carries its own error
	for n, i := range fresh {
		errs[i] = changes[n].err
		if err := files[n].Discard(); err != nil {
			b.log.Warn("could not remove a file written aside", "err", err)
		}
	}
	for i, w := range ws {
		if n, ok := first[w.w.CID]; ok {
			errs[i] = errs[n]
		}
		if errs[i] == nil {
			b.hasArrived(ctx, w.w.CID)
		}
	}
	return errs, nil
}

// eachOnce returns the indices of the blobs, each blob once, and also by their
// CIDs. One that is here already is found when it is to be kept.
func eachOnce(ws []whole) (fresh []int, first map[record.CID]int) {
	first, fresh = make(map[record.CID]int, len(ws)), make([]int, 0, len(ws))
	for i, w := range ws {
		if _, seen := first[w.w.CID]; !seen {
			first[w.w.CID] = i
			fresh = append(fresh, i)
		}
	}
	return fresh, first
}
