package replica

import (
	"bufio"
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// keepPace ends the session when too little moves. The function returned ends the
// looking.
func (s *session) keepPace() (stop func()) {
	var mu sync.Mutex
	var timer *time.Timer
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(paceTime, func() {
		if s.moved.Swap(0) < paceBytes {
			s.cancel(errStalled)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		timer.Reset(paceTime)
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		timer.Stop()
	}
}

// watch ends a session when something takes too long.
type watch struct {
	mu    sync.Mutex
	on    bool
	limit time.Duration
	timer *time.Timer
}

func newWatch(limit time.Duration, cancel context.CancelCauseFunc) *watch {
	w := &watch{limit: limit, timer: time.AfterFunc(limit, func() { cancel(errStalled) })}
	w.timer.Stop()
	return w
}

func (w *watch) start() { w.set(true) }
func (w *watch) stop()  { w.set(false) }

func (w *watch) set(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on = on; on {
		w.timer.Reset(w.limit)
	} else {
		w.timer.Stop()
	}
}

// touch gives more time to what is under way.
func (w *watch) touch() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on {
		w.timer.Reset(w.limit)
	}
}

// pacedWriter writes to the peer under watch. While the peer takes what it is sent,
// it may be slow to answer.
type pacedWriter struct {
	to                Stream
	leaving, arriving *watch
	moved             *atomic.Int64
}

func (w pacedWriter) Write(b []byte) (int, error) {
	w.leaving.start()
	defer w.leaving.stop()
	n, err := w.to.Write(b)
	w.arriving.touch()
	w.moved.Add(int64(n))
	return n, err
}

func (s *session) writer() *bufio.Writer {
	return bufio.NewWriterSize(pacedWriter{s.stream, s.leaving, s.arriving, &s.moved}, 16<<10)
}
