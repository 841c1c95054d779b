package main

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// sampleEvery is how often memory is looked at while a transfer runs. The kernel
// keeps the peak, so only the last moment of a process that ends is missed.
const sampleEvery = 100 * time.Millisecond

// measured is what one transfer cost.
type measured struct {
	Seconds  float64 `json:"seconds"`
	CPU      float64 `json:"cpu_seconds"`   // of all processes of both ends, user and system
	Sender   float64 `json:"sender_bytes"`  // of memory at its peak, of the largest sender
	Receiver float64 `json:"receiver_peak"` // bytes, the same of the receiver
	Wire     float64 `json:"wire_bytes"`    // both ways, by the receiver's cable
}

// meter measures one transfer. begin is called when the ends are ready and the
// receiver begins to pull, finish when all has arrived and is durable.
type meter struct {
	receiver *end
	senders  []*end

	began   time.Time
	cpu     time.Duration
	wire    int64
	stop    chan struct{}
	sampled sync.WaitGroup
	got     measured
}

func (m *meter) ends() []*end { return append([]*end{m.receiver}, m.senders...) }

func (m *meter) begin() error {
	for _, e := range m.ends() {
		if err := e.resetPeaks(); err != nil {
			return err
		}
	}
	var err error
	if m.wire, err = m.receiver.passed(); err != nil {
		return err
	}
	m.cpu = m.look()
	m.stop = make(chan struct{})
	m.began = time.Now()
	m.sampled.Go(func() {
		again := time.NewTicker(sampleEvery)
		defer again.Stop()
		for {
			select {
			case <-m.stop:
				return
			case <-again.C:
				m.look()
			}
		}
	})
	return nil
}

// look adds up the CPU of all ends, and notes their memory.
func (m *meter) look() (cpu time.Duration) {
	all := processes()
	for _, e := range m.ends() {
		cpu += e.look(all)
	}
	return cpu
}

// durable writes what is in the file system of dir and not on its disk yet
// (syncfs(2)). Contestants that do not sync by themselves get this at their end,
// within the time.
func durable(dir string) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	return errors.Join(unix.Syncfs(fd), unix.Close(fd))
}

func (m *meter) finish() error {
	took := time.Since(m.began)
	close(m.stop)
	m.sampled.Wait()
	cpu := m.look()
	wire, err := m.receiver.passed()
	if err != nil {
		return err
	}
	m.got = measured{
		Seconds: took.Seconds(), CPU: (cpu - m.cpu).Seconds(),
		Receiver: float64(m.receiver.peak()), Wire: float64(wire - m.wire),
	}
	for _, s := range m.senders {
		m.got.Sender = max(m.got.Sender, float64(s.peak()))
	}
	return nil
}
