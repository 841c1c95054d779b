package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// arrived is a workload and a whole copy of it.
func arrived(t *testing.T) (*workload, string) {
	t.Helper()
	w := &workload{Name: "medium", Files: 3, Size: 1000}
	if err := w.make(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(w.dir, load))); err != nil {
		t.Fatal(err)
	}
	return w, dir
}

func TestCheckSeesWhatIsNotAsItWasSent(t *testing.T) {
	for name, spoil := range map[string]func(file string) error{
		"":                  func(string) error { return nil },
		"hidden files":      nil,
		"a file is gone":    os.Remove,
		"a file is more":    func(f string) error { return os.WriteFile(f+".more", nil, 0o600) },
		"a byte differs":    func(f string) error { return os.WriteFile(f, bytes.Repeat([]byte{1}, 1000), 0o600) },
		"a file is shorter": func(f string) error { return os.Truncate(f, 999) },
	} {
		w, dir := arrived(t)
		good := name == ""
		if spoil == nil {
			good, spoil = true, func(f string) error { return os.WriteFile(filepath.Join(filepath.Dir(f), ".mine"), nil, 0o600) }
		}
		if err := spoil(filepath.Join(dir, "000", "00001.bin")); err != nil {
			t.Fatal(err)
		}
		if err := w.check(dir); (err == nil) != good {
			t.Errorf("%q: check says %v", name, err)
		}
	}
}

// TestLimitMovesFiles: what the bare programs send is what they receive, also
// where a file ends within a chunk, at its end, or is empty.
func TestLimitMovesFiles(t *testing.T) {
	for _, size := range []int64{0, 1, 1 << 20, 1<<20 + 1, 3 << 20} {
		w := &workload{Name: "medium", Files: 4, Size: size}
		if err := w.make(t.Context(), t.TempDir()); err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe()
		sent := make(chan error, 1)
		go func() { sent <- limitSend(near, filepath.Join(w.dir, load)) }()
		to := t.TempDir()
		if err := limitReceive(far, to); err != nil {
			t.Fatal(err)
		}
		far.Close()
		if err := <-sent; err != nil {
			t.Errorf("%d bytes: sender: %v", size, err)
		}
		if err := w.check(to); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
