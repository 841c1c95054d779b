package store

import (
	"sync"
	"sync/atomic"
)

// pageSize is what looking at one key brings into memory, in bytes.
const pageSize = 4096

// pages keeps the engine's mapped files from filling this process's memory. The
// kernel would take clean pages back when it runs short, but until then they
// count as the process's own, and a small box is judged, and its processes are
// killed, by that count.
type pages struct {
	most    int64
	forget  func()
	touched atomic.Int64 // bytes, at most, brought in since the last look

	mu     sync.Mutex // guards the field below; held while the kernel is told
	others int64      // mapped bytes that forget cannot give back
}

func newPages(most int64, forget func()) *pages {
	return &pages{most: most, forget: forget, others: mappedBytes()}
}

// touch counts bytes read or written and, where that may have become too much,
// looks at what is mapped.
func (p *pages) touch(n int) {
	if p.touched.Add(int64(n)) < p.most/4 || !p.mu.TryLock() {
		return
	}
	defer p.mu.Unlock()
	p.touched.Store(0)
	if mappedBytes()-p.others < p.most {
		return
	}
	p.forget()
	p.others = mappedBytes()
}
