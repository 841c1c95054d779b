package share

import (
	"context"

	"boucan/record"
)

const (
	maxDoubts = 64 // chunks; of more than those somebody will complain again
	noPass    = -1 // of a check that is not part of a scrub
)

// doubt has a chunk looked at that somebody could not read, or read wrongly.
func (b *Blobs) doubt(cid record.CID, chunk int) {
	s := b.scrub
	s.mu.Lock()
	if len(s.doubts) < maxDoubts {
		s.doubts[wrongChunk{cid, chunk}] = struct{}{}
	}
	s.mu.Unlock()
	s.poke()
}

// settleDoubts looks at what was complained of.
func (s *scrub) settleDoubts(ctx context.Context) {
	for ctx.Err() == nil {
		s.mu.Lock()
		var doubted *wrongChunk
		for d := range s.doubts {
			doubted = &d
			delete(s.doubts, d)
			break
		}
		s.mu.Unlock()
		if doubted == nil {
			return
		}
		path, k, ok, err := s.b.find(doubted.cid)
		if err == nil && !ok {
			var b *broken
			if b, err = s.b.openBroken(doubted.cid); err == nil {
				path, k = b.path, b.k
			}
		}
		if err != nil {
			continue // it is not offered anyway
		}
		c := &check{s: s, path: path, k: k, pass: noPass}
		if err := c.run(ctx, doubted.chunk, doubted.chunk+1); err != nil && ctx.Err() == nil {
			s.b.log.Debug("cannot look at a file that somebody complained of", "path", path, "err", err)
		}
		s.mend(ctx, c)
	}
}
