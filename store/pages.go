package store

import (
	"sync"
	"sync/atomic"
	"time"
)

// pageSize is what looking at one key brings into memory, in bytes.
const pageSize = 4096

// watchEvery is how long watch lets pages gather.
const watchEvery = 10 * time.Millisecond

// pages keeps the engine's mapped files from filling this process's memory. The
// kernel would take clean pages back when it runs short, but until then they
// count as the process's own, and a small box is judged, and its processes are
// killed, by that count.
type pages struct {
	most    int64        // bytes that may stay mapped
	forget  func()       // tells the kernel to take the pages back; loses nothing
	touched atomic.Int64 // bytes, at most, brought in since the last look

	mu     sync.Mutex // guards the field below; held while the kernel is told
	others int64      // mapped bytes that forget cannot give back
}

func newPages(most int64, forget func()) *pages {
	return &pages{most: most, forget: forget, others: mappedBytes()}
}

// touch counts bytes that were looked at or changed and, where that may have
// become too much, looks at what is mapped.
func (p *pages) touch(n int) {
	if p.touched.Add(int64(n)) < p.most/4 || !p.mu.TryLock() {
		return
	}
	defer p.mu.Unlock()
	if p.look() {
		p.others = mappedBytes()
	}
}

// look has the kernel take pages back if there are too many, and reports
// whether there were.
func (p *pages) look() bool {
	p.touched.Store(0)
	if mappedBytes()-p.others < p.most {
		return false
	}
	p.forget()
	return true
}

// watch looks again and again while call runs, which touches much. Pages that
// are being written cannot be taken back, so that what stays is not the others'.
func (p *pages) watch(call func() error) error {
	over := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		again := time.NewTicker(watchEvery)
		defer again.Stop()
		for {
			select {
			case <-over:
				return
			case <-again.C:
				p.mu.Lock()
				p.look()
				p.mu.Unlock()
			}
		}
	})
	defer watcher.Wait()
	defer close(over)
	return call()
}
