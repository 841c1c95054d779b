package share_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"boucan/share"
)

// Both ends run in this process, over loopback TCP without encryption, on real
// disks and stores. CPU is that of both ends; peak is the resident memory of
// both together.
//
//	go test ./share -run '^$' -bench Fetch -benchtime 1x

func BenchmarkFetchLarge(b *testing.B)  { benchFetch(b, 1, 1<<30) }
func BenchmarkFetchMedium(b *testing.B) { benchFetch(b, 1000, 100<<10) }
func BenchmarkFetchSmall(b *testing.B)  { benchFetch(b, 20_000, 4<<10) }

func benchFetch(b *testing.B, files, size int) {
	n := newNetwork(b)
	n.tcp = true
	from := newBox(n)
	var ws []share.Wanted
	if files == 1 {
		ws = append(ws, from.dropReader("large.bin", io.LimitReader(rand.NewChaCha8([32]byte{}), int64(size))))
	} else {
		ws = from.dropMany(files, func(i int) (string, []byte) {
			return fmt.Sprintf("%d/%d.bin", i/1000, i), noise(uint64(i), size)
		})
	}
	for b.Loop() {
		b.StopTimer()
		to := newBox(n)
		resetPeak(b)
		cpu := cpuTime(b)
		began := time.Now()
		b.StartTimer()
		to.blobs.Want(ws...)
		n.connect(from, to)
		for arrived := 0; arrived < files; arrived = to.arrivals() {
			time.Sleep(time.Millisecond)
		}
		b.StopTimer()
		took := time.Since(began)
		bytes := float64(files) * float64(size)
		b.ReportMetric(bytes/1e6/took.Seconds(), "MB/s")
		b.ReportMetric(float64(files)/took.Seconds(), "files/s")
		b.ReportMetric((cpuTime(b) - cpu).Seconds(), "CPU-s")
		b.ReportMetric(peak(b), "peak-MB")
		n.part(from, to)
		to.stop()
		b.StartTimer()
	}
}

// BenchmarkFetchLimit is a bare program that does only what must be done: 1 GiB
// over loopback TCP, each MiB hashed in parallel and written, all made durable.
func BenchmarkFetchLimit(b *testing.B) {
	n := &network{tcp: true}
	const size = 1 << 30
	source, err := os.Create(filepath.Join(b.TempDir(), "source"))
	if err != nil {
		b.Fatal(err)
	}
	defer source.Close()
	if _, err := io.CopyN(source, rand.NewChaCha8([32]byte{}), size); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		near, far, err := n.pair()
		if err != nil {
			b.Fatal(err)
		}
		out, err := os.Create(filepath.Join(b.TempDir(), "out"))
		if err != nil {
			b.Fatal(err)
		}
		cpu, began := cpuTime(b), time.Now()
		var all sync.WaitGroup
		all.Go(func() {
			_, _ = io.Copy(far, io.NewSectionReader(source, 0, size)) // a short one shows below
			far.Close()
		})
		chunks := make(chan int64)
		buffers := make(chan []byte, 4)
		full := make(chan []byte, 4)
		for range 4 {
			buffers <- make([]byte, 1<<20)
		}
		for range runtime.GOMAXPROCS(0) {
			all.Go(func() {
				for at := range chunks {
					buf := <-full
					sha256.Sum256(buf)
					if _, err := out.WriteAt(buf, at); err != nil {
						b.Error(err)
					}
					buffers <- buf
				}
			})
		}
		for at := int64(0); at < size; at += 1 << 20 {
			buf := <-buffers
			if _, err := io.ReadFull(near, buf); err != nil {
				b.Fatal(err)
			}
			full <- buf
			chunks <- at
		}
		close(chunks)
		all.Wait()
		if err := out.Sync(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(size/1e6/time.Since(began).Seconds(), "MB/s")
		b.ReportMetric((cpuTime(b) - cpu).Seconds(), "CPU-s")
		near.Close()
		out.Close()
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resetPeak makes the kernel count peak memory anew (proc(5), clear_refs).
func resetPeak(b *testing.B) {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Log("peak memory includes the preparation:", err)
	}
}

// peak is the resident memory at its highest, in MB.
func peak(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kb) / 1000
		}
	}
	return 0
}
