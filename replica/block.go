package replica

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"boucan/record"
)

// Blocks is what this node refuses by its own choice. No other node hears of it.
type Blocks struct {
	Authors []record.Key
	CIDs    []record.CID
	Names   []string // patterns, see BlockName
}

// Blocks lists what is blocked, in no order.
func (s *Set) Blocks() Blocks {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var b Blocks
	for k := range s.blockedAuthors {
		b.Authors = append(b.Authors, k)
	}
	for c := range s.blockedCIDs {
		b.CIDs = append(b.CIDs, c)
	}
	for p := range s.blockedNames {
		b.Names = append(b.Names, p)
	}
	return b
}

// Blocked reports whether a record for f is refused by a block of its CID or name,
// whoever signs it.
func (s *Set) Blocked(f record.File) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.memory.blocksFile(f)
}

// BlockAuthor removes every record of author from this node and takes no more in,
// but for takedowns. It returns when all is done; broken off, Run goes on with it.
func (s *Set) BlockAuthor(ctx context.Context, author record.Key) error {
	if err := s.addBlock(ctx, blockAuthorKey(author)); err != nil {
		return fmt.Errorf("block author: %w", err)
	}
	if err := s.removeBlockedAuthors(ctx); err != nil {
		return fmt.Errorf("remove records of a blocked author: %w", err)
	}
	return s.blockIsDone(ctx, blockAuthorKey(author))
}

// BlockCID removes every file record that names cid and takes no more in.
func (s *Set) BlockCID(ctx context.Context, cid record.CID) error {
	if err := s.addBlock(ctx, blockCIDKey(cid)); err != nil {
		return fmt.Errorf("block file: %w", err)
	}
	if err := s.removeBlockedCID(ctx, cid); err != nil {
		return fmt.Errorf("remove records of a blocked file: %w", err)
	}
	return s.blockIsDone(ctx, blockCIDKey(cid))
}

// BlockName removes every file record whose name is as the pattern says and takes no
// more in. In a pattern, * stands for any text and ? for one character; case does not
// matter (Options.Fold). It is held against the whole name and against the part behind
// the last slash.
func (s *Set) BlockName(ctx context.Context, pattern string) error {
	if len(pattern) > MaxPattern || strings.Trim(pattern, "*?") == "" {
		return ErrPattern
	}
	if err := s.addBlock(ctx, blockNameKey(pattern)); err != nil {
		return fmt.Errorf("block names: %w", err)
	}
	if err := s.removeBlockedFiles(ctx); err != nil {
		return fmt.Errorf("remove records with a blocked name: %w", err)
	}
	return s.blockIsDone(ctx, blockNameKey(pattern))
}

// UnblockAuthor ends BlockAuthor. The author's records come back from peers.
func (s *Set) UnblockAuthor(ctx context.Context, author record.Key) error {
	return s.dropBlock(ctx, blockAuthorKey(author))
}

// UnblockCID ends BlockCID.
func (s *Set) UnblockCID(ctx context.Context, cid record.CID) error {
	return s.dropBlock(ctx, blockCIDKey(cid))
}

// UnblockName ends BlockName; the pattern is spelled as it was then.
func (s *Set) UnblockName(ctx context.Context, pattern string) error {
	return s.dropBlock(ctx, blockNameKey(pattern))
}

func (s *Set) addBlock(ctx context.Context, key []byte) error {
	return s.exclusive(ctx, func() error {
		s.mu.RLock()
		known := s.memory.isBlocked(key)
		full := s.memory.blocksKept() >= MaxBlocks || key[1] == blockName && len(s.blockedNames) >= MaxBlockedNames
		s.mu.RUnlock()
		switch {
		case known:
			return nil
		case full:
			return ErrTooManyBlocks
		}
		if err := s.writeOne(key, []byte{blockBegun}); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.memory.block(key)
		return nil
	})
}

func (s *Set) dropBlock(ctx context.Context, key []byte) error {
	err := s.exclusive(ctx, func() error {
		if err := s.writeOne(key, nil); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.memory.unblock(key)
		s.loosened.Add(1)
		return nil
	})
	if err != nil {
		return fmt.Errorf("unblock: %w", err)
	}
	return nil
}

func (s *Set) writeOne(key, value []byte) error {
	return s.log.Write(func(yield func([]byte, []byte) bool) { yield(key, value) })
}

// blockIsDone notes that all that a block names is gone, so that the next start need
// not look again.
func (s *Set) blockIsDone(ctx context.Context, key []byte) error {
	return s.exclusive(ctx, func() error {
		s.mu.RLock()
		known := s.memory.isBlocked(key)
		s.mu.RUnlock()
		if !known {
			return nil // taken back meanwhile
		}
		return s.writeOne(key, []byte{blockDone})
	})
}

// enforceBlocks removes what should have been removed when something was blocked.
func (s *Set) enforceBlocks(ctx context.Context) error {
	var begun [][]byte
	entries, failed := s.log.Scan([]byte{prefixBlock}, []byte{prefixBlock + 1})
	for key, value := range entries {
		if len(key) > 2 && (len(value) != 1 || value[0] != blockDone) {
			begun = append(begun, bytes.Clone(key))
		}
	}
	if err := failed(); err != nil {
		return err
	}
	authors, names := false, false
	for _, key := range begun {
		switch {
		case len(key) == blockCIDSize && key[1] == blockCID:
			if err := s.removeBlockedCID(ctx, record.CID(key[2:])); err != nil {
				return err
			}
		case key[1] == blockAuthor:
			authors = true
		case key[1] == blockName:
			names = true
		}
	}
	if authors {
		if err := s.removeBlockedAuthors(ctx); err != nil {
			return err
		}
	}
	if names {
		if err := s.removeBlockedFiles(ctx); err != nil {
			return err
		}
	}
	for _, key := range begun {
		if err := s.blockIsDone(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

func (s *Set) removeBlockedCID(ctx context.Context, cid record.CID) error {
	from := cidPrefix(cid)
	return s.removeBlocked(ctx, from, successor(from), func([]byte) bool { return true })
}

// removeBlockedFiles reads every file record, for only there stands its name.
func (s *Set) removeBlockedFiles(ctx context.Context) error {
	from := kindPrefix(record.KindFile)
	return s.removeBlocked(ctx, from, successor(from), func([]byte) bool { return true })
}

func (s *Set) removeBlockedAuthors(ctx context.Context) error {
	return s.removeBlocked(ctx, []byte{prefixKind}, []byte{prefixKind + 1}, func(value []byte) bool {
		e, ok := entryOf(value)
		s.mu.RLock()
		defer s.mu.RUnlock()
		_, blocked := s.blockedAuthors[e.author]
		return ok && blocked
	})
}

// removeBlocked removes the blocked records among those that the index from from to
// to names with a value that may says yes to.
func (s *Set) removeBlocked(ctx context.Context, from, to []byte, may func(value []byte) bool) error {
	for from != nil {
		err := s.exclusive(ctx, func() error {
			ids, next, err := s.idsFrom(from, to, may)
			if err != nil {
				return err
			}
			from = next
			return s.removeIfBlocked(ids)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// idsFrom reads some ids from an index, and where to go on, nil at the end.
func (s *Set) idsFrom(from, to []byte, may func(value []byte) bool) (ids []record.ID, next []byte, err error) {
	seen := 0
	entries, failed := s.log.Scan(from, to)
	for key, value := range entries {
		if len(ids) == sweepPage || seen == lookPage {
			next = bytes.Clone(key)
			break
		}
		seen++
		if it, ok := stampOf(key); ok && may(value) {
			ids = append(ids, it.id)
		}
	}
	return ids, next, failed()
}

func (s *Set) removeIfBlocked(ids []record.ID) error {
	b := s.newBatch()
	for _, id := range ids {
		r, ok, err := s.stored(id)
		if err != nil {
			return err
		}
		s.mu.RLock()
		blocked := ok && s.memory.blocks(r)
		s.mu.RUnlock()
		if !blocked {
			continue
		}
		u, err := removal(r)
		if err != nil {
			return err
		}
		b.join(u)
	}
	b.flush()
	return b.err
}
