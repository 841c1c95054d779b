package share

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"strings"
	"testing"

	"boucan/record"
)

// photo is a JPEG of several chunks, with a comment that names somebody.
func photo(t *testing.T) (with, without string) {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, 1200, 1200))
	random := rand.NewChaCha8([32]byte{2})
	random.Read(m.Pix)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	plain := b.String()
	if len(plain) < 2*ChunkSize {
		t.Fatalf("only %d bytes", len(plain))
	}
	return plain[:2] + "\xff\xfe\x00\x0bby Ada <3" + plain[2:] + "GPS trailer", plain
}

// TestDropClean: what is stored is what is named, and does not identify.
func TestDropClean(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	with, without := photo(t)
	h := NewHasher()
	h.Write([]byte(without))
	want := h.Manifest()
	d, err := b.DropClean(t.Context(), "photo.jpg", strings.NewReader(with))
	if err != nil {
		t.Fatal(err)
	}
	if d.CID != want.CID || d.Size != int64(len(without)) || d.Cleaned != record.CleanedDone || !d.Location || d.Already {
		t.Errorf("dropped as %+v", d)
	}
	if b.read(d.CID) != without {
		t.Error("other bytes are stored than are named")
	}
	if m, ok, err := b.Manifest(d.CID); err != nil || !ok || !bytes.Equal(m.Leaves, want.Leaves) {
		t.Errorf("manifest: %v %v", ok, err)
	}
	if d, err := b.DropClean(t.Context(), "again.jpg", strings.NewReader(without)); err != nil || !d.Already || d.Cleaned != record.CleanedNothing {
		t.Errorf("the same, clean: %+v %v", d, err)
	}
	if d, err := b.Drop(t.Context(), "kept.jpg", strings.NewReader(with)); err != nil || b.read(d.CID) != with || d.Cleaned != record.CleanedUnknown {
		t.Errorf("kept: %+v %v", d, err)
	}
	half := with[:len(with)/2]
	if d, err := b.DropClean(t.Context(), "half.jpg", strings.NewReader(half)); err != nil || b.read(d.CID) != half || d.Cleaned != record.CleanedCannot {
		t.Errorf("what cannot be cleaned: %+v %v", d, err)
	}
}

// TestDropCleanThatIsGivenUp: who goes while the file is cleaned leaves nothing.
func TestDropCleanThatIsGivenUp(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	with, _ := photo(t)
	ctx, stop := context.WithCancel(t.Context())
	_, err := b.DropClean(ctx, "photo.jpg", &stopping{strings.NewReader(with), stop})
	if !errors.Is(err, context.Canceled) || len(b.listed()) != 0 {
		t.Errorf("%v, %d files", err, len(b.listed()))
	}
}

// stopping ends a context with the last byte.
type stopping struct {
	*strings.Reader
	stop func()
}

func (s *stopping) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if s.Len() == 0 {
		s.stop()
	}
	return n, err
}
