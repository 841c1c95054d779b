package share

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/iotest"
)

func uploadID(n byte) UploadID { return UploadID{n, 1} }

// randomText is content that no other seed has.
func randomText(seed byte, size int) string {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return string(b)
}

// beginUpload begins an upload for content.
func (b *box) beginUpload(id UploadID, content string) {
	b.t.Helper()
	if _, err := b.BeginUpload(id, int64(len(content)), []byte("a note")); err != nil {
		b.t.Fatal(err)
	}
}

// TestUploadBrokenOffOftenArrivesWhole breaks at random points, now and then with a
// restart of the box, and loses nothing that came.
func TestUploadBrokenOffOftenArrivesWhole(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	rng := rand.New(rand.NewPCG(1, 2))
	content := randomText(7, 5*ChunkSize+12345)
	id := uploadID(1)
	b.beginUpload(id, content)
	broken := errors.New("the link broke")
	at := 0
	for i := 0; at < len(content); i++ {
		n := min(1+rng.IntN(len(content)/20), len(content)-at)
		r := io.Reader(strings.NewReader(content[at : at+n]))
		if at+n < len(content) {
			r = io.MultiReader(r, iotest.ErrReader(broken))
		}
		u, err := b.AppendUpload(t.Context(), id, int64(at), r)
		if u.Offset != int64(at+n) || at+n < len(content) && !errors.Is(err, broken) {
			t.Fatalf("after %d bytes at %d: %+v, %v", n, at, u, err)
		}
		at += n
		if b.Usage().Uploads != int64(at) {
			t.Errorf("%d bytes of uploads are counted, want %d", b.Usage().Uploads, at)
		}
		if i%7 == 3 {
			b.again()
			if u, err := b.LookUpload(t.Context(), id); err != nil || u.Offset != int64(at) || string(u.Note) != "a note" {
				t.Fatalf("after a restart at %d: %+v, %v", at, u, err)
			}
		}
	}
	d, err := b.FinishUpload(t.Context(), id, "film.mp4", false)
	if err != nil || d.CID != cidOf(content) || d.Already || d.Name != "film.mp4" || b.Usage().Uploads != 0 {
		t.Fatalf("became %+v, %v", d, err)
	}
	b.again()
	again, err := b.FinishUpload(t.Context(), id, "film.mp4", false)
	if err != nil || again.CID != d.CID || again.Already || !again.Again {
		t.Errorf("asked again: %+v, %v", again, err)
	}
	if got := b.read(d.CID); got != content {
		t.Error("the file reads wrong")
	}
	if left, _ := os.ReadDir(b.at(".boucan/partial")); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestUploadRefuses(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	id := uploadID(1)
	if _, err := b.AppendUpload(t.Context(), id, 0, strings.NewReader("x")); !errors.Is(err, ErrNoUpload) {
		t.Errorf("none: %v", err)
	}
	b.beginUpload(id, "hello")
	if _, err := b.BeginUpload(id, 5, nil); err == nil {
		t.Error("one upload was begun twice")
	}
	for _, offset := range []int64{-1, 1, 5, 1 << 60} {
		if u, err := b.AppendUpload(t.Context(), id, offset, strings.NewReader("hello")); !errors.Is(err, ErrOffset) || u.Offset != 0 {
			t.Errorf("at %d: %+v, %v", offset, u, err)
		}
	}
	if _, err := b.FinishUpload(t.Context(), id, "x", false); !errors.Is(err, ErrOffset) {
		t.Errorf("finished before it came: %v", err)
	}
	if u, err := b.AppendUpload(t.Context(), id, 0, strings.NewReader("hello and more")); err != nil || u.Offset != 5 {
		t.Errorf("too much: %+v, %v", u, err)
	}
	if err := b.EndUpload(t.Context(), id); err != nil {
		t.Error(err)
	}
	if _, err := b.LookUpload(t.Context(), id); !errors.Is(err, ErrNoUpload) || b.Usage().Uploads != 0 {
		t.Errorf("ended: %v, %d bytes counted", err, b.Usage().Uploads)
	}
	for i := range MaxUploads {
		if _, err := b.BeginUpload(UploadID{2, byte(i), byte(i >> 8)}, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.BeginUpload(id, 1, nil); !errors.Is(err, ErrUploads) {
		t.Errorf("one too many: %v", err)
	}
}

// TestUploadAlreadyHere: the same bytes lie here under another name.
func TestUploadAlreadyHere(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	if _, err := b.Drop(t.Context(), "first", strings.NewReader("the same")); err != nil {
		t.Fatal(err)
	}
	id := uploadID(1)
	b.beginUpload(id, "the same")
	if _, err := b.AppendUpload(t.Context(), id, 0, strings.NewReader("the same")); err != nil {
		t.Fatal(err)
	}
	for _, again := range []bool{false, true} {
		if d, err := b.FinishUpload(t.Context(), id, "second", false); err != nil || !d.Already || d.Path != "first" || d.Name != "second" || d.Again != again {
			t.Errorf("became %+v, %v", d, err)
		}
	}
}

// TestUploadsEndByAge: what nobody went on with goes, with its bytes, and files of
// uploads that nobody knows too.
func TestUploadsEndByAge(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	old, young := uploadID(1), uploadID(2)
	for _, id := range []UploadID{old, young} {
		b.beginUpload(id, "hello")
		if _, err := b.AppendUpload(t.Context(), id, 0, strings.NewReader("hell")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(b.at(".boucan/partial/upload00"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.uploads.known[old].ends = b.uploads.known[old].ends.Add(-UploadLife)
	if err := b.SweepUploads(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.LookUpload(t.Context(), old); !errors.Is(err, ErrNoUpload) {
		t.Errorf("the old one: %v", err)
	}
	if u, err := b.LookUpload(t.Context(), young); err != nil || u.Offset != 4 {
		t.Errorf("the young one: %+v, %v", u, err)
	}
	if left, _ := os.ReadDir(b.at(".boucan/partial")); len(left) != 1 {
		t.Errorf("left over: %v", left)
	}
}

// TestUploadAfterPulledPlug: another run of the system has only what was durable.
func TestUploadAfterPulledPlug(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	id := uploadID(1)
	content := randomText(3, 3*ChunkSize)
	b.beginUpload(id, content)
	if _, err := b.AppendUpload(t.Context(), id, 0, strings.NewReader(content[:ChunkSize+5])); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(b.at(".boucan/partial/"+id.file()), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, strings.Repeat("\x00", 4096)) // came after the mark, and the disk lost it
	f.Close()
	b.uploads.known[id].boot = "another run"
	if err := b.saveUpload(b.uploads.known[id]); err != nil {
		t.Fatal(err)
	}
	b.again()
	if u, err := b.LookUpload(t.Context(), id); err != nil || u.Offset != ChunkSize+5 {
		t.Fatalf("%+v, %v", u, err)
	}
	if _, err := b.AppendUpload(t.Context(), id, ChunkSize+5, strings.NewReader(content[ChunkSize+5:])); err != nil {
		t.Fatal(err)
	}
	if d, err := b.FinishUpload(t.Context(), id, "x", false); err != nil || d.CID != cidOf(content) {
		t.Errorf("%+v, %v", d, err)
	}
}

// uploadRoot names, in the environment, the folder that TestUploadChild uploads to.
const uploadRoot = "BOUCAN_TEST_UPLOAD_CHILD"

// TestUploadChild is the process that TestUploadKill kills. It says after each MiB
// that it was given so much, and then waits. By itself it does nothing.
func TestUploadChild(t *testing.T) {
	root := os.Getenv(uploadRoot)
	if root == "" {
		return
	}
	b := &box{t: t, root: root, catalog: newCatalog()}
	b.open()
	id := uploadID(1)
	content := randomText(9, 8*ChunkSize)
	u, err := b.LookUpload(t.Context(), id)
	if errors.Is(err, ErrNoUpload) {
		u, err = b.BeginUpload(id, int64(len(content)), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	go func() {
		w.Write([]byte(content[u.Offset:min(u.Offset+2*ChunkSize+777, int64(len(content)-1))]))
		fmt.Println("\ngiven", u.Offset+2*ChunkSize+777)
	}()
	b.AppendUpload(t.Context(), id, u.Offset, r)
}

// TestUploadKill: a process that is killed while an upload comes has lost at most
// one chunk of what it was given.
func TestUploadKill(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	content := randomText(9, 8*ChunkSize)
	id := uploadID(1)
	var at int64
	for range 3 {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestUploadChild$")
		child.Env = append(os.Environ(), uploadRoot+"="+root)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		for buf := make([]byte, 256); !bytes.Contains(said.Bytes(), []byte("given")); {
			n, err := out.Read(buf)
			if said.Write(buf[:n]); err != nil {
				t.Fatalf("%v: %s", err, said.Bytes())
			}
		}
		child.Process.Kill()
		child.Wait()
		given := min(at+2*ChunkSize+777, int64(len(content)-1))
		b := &box{t: t, root: root, catalog: newCatalog()}
		b.open()
		u, err := b.LookUpload(t.Context(), id)
		if err != nil || u.Offset > given || u.Offset < given-ChunkSize {
			t.Fatalf("%+v, %v; %d were given", u, err, given)
		}
		at = u.Offset
		b.close()
	}
	b := &box{t: t, root: root, catalog: newCatalog()}
	b.open()
	defer b.close()
	if _, err := b.AppendUpload(t.Context(), id, at, strings.NewReader(content[at:])); err != nil {
		t.Fatal(err)
	}
	if d, err := b.FinishUpload(t.Context(), id, "x", false); err != nil || d.CID != cidOf(content) {
		t.Errorf("%+v, %v", d, err)
	}
}
