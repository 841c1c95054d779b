package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// load is the folder that every contestant offers and fetches.
const load = "load"

// workload is a set of files of random bytes, which nothing can compress.
type workload struct {
	Name  string
	Files int
	Size  int64 // bytes of each

	dir  string                       // holds load
	sums map[string][sha256.Size]byte // by path below load
}

// workloads are those of the figures, large first.
func workloads() []*workload {
	return []*workload{
		{Name: "large", Files: 1, Size: 1 << 30},
		{Name: "medium", Files: 1000, Size: 100 << 10},
		{Name: "small", Files: 20_000, Size: 4 << 10},
	}
}

// shrink makes the workload a part of itself: fewer files, or a shorter one.
func (w *workload) shrink(scale float64) {
	if w.Files == 1 {
		w.Size = max(1, int64(float64(w.Size)*scale))
		return
	}
	w.Files = max(1, int(float64(w.Files)*scale))
}

func (w *workload) bytes() float64 { return float64(w.Size) * float64(w.Files) }

func (w *workload) String() string {
	if w.Files == 1 {
		return sizeText(w.Size)
	}
	return fmt.Sprintf("%s × %s", thousands(w.Files), sizeText(w.Size))
}

// make writes the files below dir and reads their sums.
func (w *workload) make(ctx context.Context, dir string) error {
	w.dir, w.sums = dir, make(map[string][sha256.Size]byte, w.Files)
	buf := make([]byte, 1<<20)
	for i := range w.Files {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		name := fmt.Sprintf("%03d/%05d.bin", i/1000, i)
		path := filepath.Join(dir, load, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		var seed [32]byte
		binary.LittleEndian.PutUint64(seed[:], uint64(i))
		binary.LittleEndian.PutUint64(seed[8:], uint64(w.Size))
		sum, err := fill(path, io.LimitReader(rand.NewChaCha8(seed), w.Size), buf)
		if err != nil {
			return err
		}
		w.sums[name] = sum
	}
	return durable(dir)
}

func fill(path string, r io.Reader, buf []byte) (sum [sha256.Size]byte, err error) {
	f, err := os.Create(path)
	if err != nil {
		return sum, err
	}
	h := sha256.New()
	_, err = io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(f, h)}, r, buf)
	return [sha256.Size]byte(h.Sum(nil)), errors.Join(err, f.Close())
}

// check fails unless exactly the workload's files lie below dir. Hidden files are
// the contestants' own.
func (w *workload) check(dir string) error {
	found := make(map[string]bool, len(w.sums))
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path != dir && strings.HasPrefix(d.Name(), ".") {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		want, ok := w.sums[name]
		if !ok {
			return fmt.Errorf("%s was not sent", name)
		}
		sum, err := sumOf(path)
		if err != nil {
			return err
		}
		if sum != want {
			return fmt.Errorf("%s has other bytes than were sent", name)
		}
		found[name] = true
		return nil
	})
	if err == nil && len(found) < len(w.sums) {
		for _, name := range slices.Sorted(maps.Keys(w.sums)) {
			if !found[name] {
				return fmt.Errorf("%d of %d files did not arrive, %s among them", len(w.sums)-len(found), len(w.sums), name)
			}
		}
	}
	return err
}

func sumOf(path string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close() // was only read
	h := sha256.New()
	_, err = io.Copy(h, f)
	return [sha256.Size]byte(h.Sum(nil)), err
}

// link gives every file of the workload a second name below dir, so that each
// contestant finds the same bytes in the kernel's file cache.
func (w *workload) link(dir string) error {
	for name := range w.sums {
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Link(filepath.Join(w.dir, load, filepath.FromSlash(name)), to); err != nil {
			return err
		}
	}
	return nil
}

// thousands writes n with a comma between its thousands.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func sizeText(n int64) string {
	for _, u := range []struct {
		bytes int64
		name  string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.bytes {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/float64(u.bytes)), ".0") + " " + u.name
		}
	}
	return fmt.Sprintf("%d B", n)
}
