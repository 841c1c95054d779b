package share_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"boucan/record"
	"boucan/share"
	"boucan/share/dropdir"
	"boucan/store"
)

// box is one node's blobs on a disk of its own.
type box struct {
	t       testing.TB
	n       *network
	key     record.Key
	dir     string // holds store/ and files/
	reserve int64
	follow  bool          // Run follows the folder too
	scrub   int64         // bytes a second
	chunks  int           // as in share.Options
	ahead   time.Duration // of the box's clock
	logs    *logbook
	blobs   *share.Blobs
	stop    func()

	mu      sync.Mutex
	arrived []record.CID
}

func newBox(n *network) *box {
	b := &box{t: n.t, n: n, key: newKey(), dir: n.t.TempDir(), logs: &logbook{}}
	b.start()
	n.t.Cleanup(func() { b.stop() })
	return b
}

// start opens the box and runs it until stop.
func (b *box) start() {
	b.t.Helper()
	db, err := store.Open(filepath.Join(b.dir, "store"), store.Options{CacheBytes: 8 << 20})
	if err != nil {
		b.t.Fatal(err)
	}
	dir, err := dropdir.Open(filepath.Join(b.dir, "files"), dropdir.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.blobs, err = share.Open(dir, db.Table(store.Blobs), view{b.n, b.key}, b, share.Options{
		Logger: slog.New(b.logs), Reserve: b.reserve, Scrub: b.scrub, Chunks: b.chunks,
		Now: func() time.Time { return time.Now().Add(b.ahead) },
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.n.mu.Lock()
	b.n.nodes[b.key] = b.blobs.Serve
	b.n.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		run := b.blobs.RunFetching
		if b.follow {
			run = b.blobs.Run
		}
		if err := run(ctx); err != nil {
			b.t.Errorf("run: %v", err)
		}
	})
	b.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		b.n.mu.Lock()
		delete(b.n.nodes, b.key)
		for s := range b.n.streams {
			if s.to == b.key {
				s.cut()
			}
		}
		b.n.mu.Unlock()
		b.n.serving.Wait()
		if err := dir.Close(); err != nil {
			b.t.Error(err)
		}
		if err := db.Close(); err != nil {
			b.t.Error(err)
		}
	})
}

func (b *box) Appeared(context.Context, []share.File) error { return nil }
func (b *box) Vanished(context.Context, []share.File) error { return nil }
func (b *box) Arrived(_ context.Context, cids []record.CID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.arrived = append(b.arrived, cids...)
	return nil
}

// drop puts bytes into a box as a visitor would, and returns what others want.
func (b *box) drop(name string, data []byte) share.Wanted {
	b.t.Helper()
	return b.dropReader(name, bytes.NewReader(data))
}

func (b *box) dropReader(name string, r io.Reader) share.Wanted {
	b.t.Helper()
	d, err := b.blobs.Drop(context.Background(), name, r)
	if err != nil {
		b.t.Errorf("drop %s: %v", name, err)
	}
	return share.Wanted{CID: d.CID, Size: d.Size, Name: d.Name, From: b.key}
}

// dropMany drops files 0 to n-1, many at a time so that they share syncs.
func (b *box) dropMany(n int, file func(i int) (name string, data []byte)) []share.Wanted {
	ws := make([]share.Wanted, n)
	var dropping sync.WaitGroup
	next := make(chan int)
	for range min(n, 128) {
		dropping.Go(func() {
			for i := range next {
				name, data := file(i)
				ws[i] = b.drop(name, data)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	dropping.Wait()
	return ws
}

// read returns the bytes of a blob at a box.
func (b *box) read(cid record.CID) []byte {
	b.t.Helper()
	f, _, err := b.blobs.Open(cid)
	if err != nil {
		b.t.Fatalf("open %v: %v", cid, err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		b.t.Fatal(err)
	}
	return data
}

// has reports whether all of these are whole at the box and told of.
func (b *box) has(ws ...share.Wanted) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	told := make(map[record.CID]bool, len(b.arrived))
	for _, cid := range b.arrived {
		told[cid] = true
	}
	for _, w := range ws {
		if !told[w.CID] || !b.blobs.Has(w.CID) {
			return false
		}
	}
	return true
}

// wait waits until cond holds, in the time of the bubble, and says how long it
// took.
func wait(t testing.TB, most time.Duration, what string, cond func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for step := time.Millisecond; !cond(); step = min(2*step, time.Second) {
		if time.Since(began) > most {
			t.Fatalf("waited %v in vain: %s", most, what)
		}
		time.Sleep(step)
	}
	return time.Since(began)
}

// corrupt changes one byte of a blob's file behind the box's back, as a bad disk
// would: size and times stay.
func (b *box) corrupt(cid record.CID, at int64) {
	b.t.Helper()
	path, ok := b.blobs.Path(cid)
	if !ok {
		b.t.Fatalf("%v is not here", cid)
	}
	b.corruptPath(path, at)
}

// corruptPath is corrupt for a file of which the path is known.
func (b *box) corruptPath(path string, at int64) {
	b.t.Helper()
	path = filepath.Join(b.dir, "files", filepath.FromSlash(path))
	info, err := os.Stat(path)
	if err != nil {
		b.t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	var one [1]byte
	if _, err := f.ReadAt(one[:], at); err != nil {
		b.t.Fatal(err)
	}
	one[0] ^= 1
	if _, err := f.WriteAt(one[:], at); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		b.t.Fatal(err)
	}
}

// exists reports whether a file lies in the box's folder.
func (b *box) exists(path string) bool {
	_, err := os.Stat(filepath.Join(b.dir, "files", filepath.FromSlash(path)))
	return err == nil
}

// away takes the folder away, until it is put back.
func (b *box) away() (back func()) {
	b.t.Helper()
	files := filepath.Join(b.dir, "files")
	if err := errors.Join(os.Rename(files, files+".away"), os.Mkdir(files, 0o755)); err != nil {
		b.t.Fatal(err)
	}
	b.blobs.LookForFolder()
	return func() {
		if err := errors.Join(os.Remove(files), os.Rename(files+".away", files)); err != nil {
			b.t.Fatal(err)
		}
	}
}

// noise is size bytes that nothing else has.
func noise(seed uint64, size int) []byte {
	var key [32]byte
	key[0], key[1], key[2], key[3] = byte(seed), byte(seed>>8), byte(seed>>16), byte(size)
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

// manifestOf computes what a peer that has data would send.
func manifestOf(data []byte) share.Manifest {
	h := share.NewHasher()
	_, _ = h.Write(data) // never fails
	return h.Manifest()
}

func sum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// logbook keeps the lines that an operator sees.
type logbook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logbook) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (l *logbook) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l *logbook) WithGroup(string) slog.Handler                    { return l }
func (l *logbook) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, r.Message)
	return nil
}

// count is how often a line with these words was written.
func (l *logbook) count(words string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, line := range l.lines {
		if strings.Contains(line, words) {
			n++
		}
	}
	return n
}

func (l *logbook) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}
