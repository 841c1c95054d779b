package clean_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"boucan/clean"
)

// memory is a file in memory.
type memory struct{ b []byte }

func (m *memory) ReadAt(p []byte, at int64) (int, error) {
	if at >= int64(len(m.b)) {
		return 0, io.EOF
	}
	n := copy(p, m.b[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memory) WriteAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > int64(len(m.b)) {
		return 0, errors.New("it would become longer")
	}
	return copy(m.b[at:], p), nil
}

func (m *memory) Truncate(size int64) error {
	m.b = m.b[:size]
	return nil
}

// applied is the cleaned file, which both ways of making it must agree on.
func applied(t testing.TB, plan *clean.Plan, before []byte) []byte {
	t.Helper()
	m := &memory{bytes.Clone(before)}
	if err := plan.Apply(m); err != nil {
		t.Fatalf("apply: %v", err)
	}
	read, err := io.ReadAll(plan.Reader(bytes.NewReader(before)))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read, m.b) || int64(len(read)) != plan.Size() {
		t.Fatalf("in place it is %d bytes, read %d, and was to be %d", len(m.b), len(read), plan.Size())
	}
	for at := int64(0); at < int64(len(read)); at += 64 {
		end := min(at+64, int64(len(read)))
		if plan.Same(at, end-at) && !bytes.Equal(read[at:end], before[at:end]) {
			t.Fatalf("bytes %d to %d are not the same as before", at, end)
		}
	}
	return read
}

func TestWhatIdentifiesGoes(t *testing.T) {
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			plan := look(t, s.file)
			if !plan.Dirty() {
				t.Fatal("it is taken for clean")
			}
			after := applied(t, plan, s.file)
			if i := bytes.Index(after, []byte("SECRET")); i >= 0 {
				t.Errorf("left at %d of %d: %q", i, len(after), after[max(0, i-60):min(len(after), i+40)])
			}
			if n := bytes.Count(after, []byte(kept)); n != s.kept {
				t.Errorf("what has to stay is in it %d times, not %d", n, s.kept)
			}
			if again := look(t, after); again.Dirty() {
				t.Error("a clean file is not taken for clean")
			}
		})
	}
}

func look(t testing.TB, file []byte) *clean.Plan {
	t.Helper()
	plan, err := clean.Look(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// TestCutOff: what ends early is left as it is, or what is missing was to go.
func TestCutOff(t *testing.T) {
	for _, s := range samples() {
		for n := 0; n < len(s.file); n += 1 + len(s.file)/300 {
			plan, err := clean.Look(bytes.NewReader(s.file[:n]), int64(n))
			if err != nil {
				if !errors.Is(err, clean.ErrCannot) {
					t.Fatalf("%s, %d bytes: %v", s.name, n, err)
				}
				continue
			}
			// A tag behind FLAC that is cut off is no tag.
			tail := s.name == "flac" && n > bytes.Index(s.file, []byte("sound"))
			if b := applied(t, plan, s.file[:n]); bytes.Contains(b, []byte(secret)) && !tail {
				t.Errorf("%s, %d bytes: half clean", s.name, n)
			}
		}
	}
}

func TestWhatIsNotKnownIsLeft(t *testing.T) {
	for _, file := range []string{"", "x", "text", "PK\x03\x04", "%PDF-1.7", "\xff\xfet\x00e\x00x\x00t\x00", "RIFF\x04\x00\x00\x00WAVE", "ID3"} {
		if _, err := clean.Look(bytes.NewReader([]byte(file)), int64(len(file))); !errors.Is(err, clean.ErrCannot) {
			t.Errorf("%q: %v", file, err)
		}
	}
}

// TestDiskThatFails: an error of the file is no verdict on it.
func TestDiskThatFails(t *testing.T) {
	for _, s := range samples() {
		broken := errors.New("disk")
		for at := int64(0); at < int64(len(s.file)); at += 1 + int64(len(s.file)/300) {
			_, err := clean.Look(failing{bytes.NewReader(s.file), at, broken}, int64(len(s.file)))
			if err != nil && (errors.Is(err, clean.ErrCannot) || !errors.Is(err, broken)) {
				t.Fatalf("%s: %v", s.name, err)
			}
		}
	}
}

type failing struct {
	io.ReaderAt
	at  int64
	err error
}

func (f failing) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > f.at {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, at)
}

func FuzzClean(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		plan, err := clean.Look(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			if !errors.Is(err, clean.ErrCannot) {
				t.Fatal(err)
			}
			return
		}
		after := applied(t, plan, file)
		if len(after) > len(file) || !plan.Dirty() && !bytes.Equal(after, file) {
			t.Errorf("%d bytes became %d", len(file), len(after))
		}
		again, err := clean.Look(bytes.NewReader(after), int64(len(after)))
		if err != nil {
			t.Fatalf("what was cleaned cannot be: %v", err)
		}
		if again.Dirty() {
			t.Error("cleaned once more it changes")
		}
	})
}
