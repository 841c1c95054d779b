package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"boucan/record"
	"boucan/replica"
	"boucan/share"
)

// Appeared implements share.Catalog: files found in the folder are offered.
func (l *library) Appeared(ctx context.Context, files []share.File) error {
	err := l.offerFiles(ctx, files)
	if errors.Is(err, replica.ErrQuota) || errors.Is(err, replica.ErrFull) {
		// Asking again would keep all else from being told of. They are found
		// at the next look at all.
		l.log.Warn("the list of files is full; what is new in the folder is not offered")
		return nil
	}
	return err
}

// Vanished implements share.Catalog: files that somebody removed from the
// folder by hand are withdrawn where this node offered them, and are not
// fetched again where another did.
func (l *library) Vanished(ctx context.Context, files []share.File) error {
	return l.oneByOne(ctx, func() error {
		var gone []claim
		var refused []record.CID
		for _, f := range files {
			mine, others := l.names.own(f.CID)
			path, here := l.blobs.Path(f.CID)
			if !here {
				if err := l.withheld.strike(f.CID); err != nil {
					return err
				}
				gone = append(gone, mine...)
				left, err := l.leaving.has(f.CID)
				switch {
				case err != nil:
					return err
				case left: // this box did it itself, and a crash came in between
					if err := l.leaving.strike(f.CID); err != nil {
						return err
					}
				case others:
					refused = append(refused, f.CID)
				}
				continue
			}
			// Another copy lies here: only the name that went is withdrawn,
			// and the copy is offered under its own.
			left := record.CleanName(path)
			name := f.Name()
			if name == left {
				continue
			}
			kept := slices.DeleteFunc(slices.Clone(mine), func(c claim) bool { return c.name == name || slices.Contains(gone, c) })
			if len(kept) == 0 && len(mine) > 0 {
				copied := share.File{Path: path, CID: f.CID, Size: f.Size, Modified: f.Modified}
				if err := l.publish(ctx, l.fresh(bodyOf(copied))); err != nil {
					return err
				}
			}
			gone = append(gone, slices.DeleteFunc(mine, func(c claim) bool { return c.name != name })...)
		}
		if len(refused) > 0 {
			if err := l.blobs.Refuse(refused...); err != nil {
				return fmt.Errorf("remember removed files: %w", err)
			}
			l.blobs.Unwant(refused...)
		}
		l.touch(cidsOf(files), nil)
		return l.withdraw(ctx, once(gone))
	})
}

func cidsOf(files []share.File) []record.CID {
	cids := make([]record.CID, len(files))
	for i, f := range files {
		cids[i] = f.CID
	}
	return cids
}

// once takes out claims that are there twice: of two files with the same bytes
// that vanished together.
func once(claims []claim) []claim {
	seen := make(map[record.ID]bool)
	return slices.DeleteFunc(claims, func(c claim) bool {
		was := seen[c.id]
		seen[c.id] = true
		return was
	})
}

// bodyOf is what the record of an operator's file says.
func bodyOf(f share.File) record.File {
	name := f.Name()
	return record.File{
		Name: name, CID: f.CID, Size: uint64(f.Size), MediaType: mediaType(name), Modified: sharedAt(f.Modified),
	}
}

// Arrived implements share.Catalog. What came is counted; what nobody names any
// more came too late to be stopped, and goes.
func (l *library) Arrived(_ context.Context, cids []record.CID) error {
	late := slices.DeleteFunc(slices.Clone(cids), l.names.mentions)
	if len(late) > 0 {
		// The note that they are guests may have gone with their last record.
		// Without it they would be taken for the operator's, and offered.
		if err := l.guests.mark(late...); err != nil {
			return err
		}
	}
	l.touch(cids, nil)
	l.changed.tell()
	return nil
}
