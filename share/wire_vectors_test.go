package share

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"boucan/record"
)

// blobVectors is spec/vectors/blob.json, described in spec/blob.md, section 11.
type blobVectors struct {
	Names []struct {
		Fill byte
		Size int64
		CID  string
		Root string
	}
	Asking []struct {
		Name   string
		Hex    string
		Frames []vectorFrame
	}
	Chunk []struct {
		Name    string
		Hex     string
		Length  int
		SHA256  string
		Refusal string
	}
	Manifest []struct {
		Name    string
		Hex     string
		CID     string
		Size    int64
		Leaves  string
		Refusal string
	}
	Bad []struct {
		Name  string
		Read  string
		Hex   string
		Most  int
		CID   string
		Class string
	}
}

type vectorFrame struct {
	Kind  string
	Items []struct {
		Kind  string
		CID   string
		First uint32
		Count uint32
	}
	CIDs  []string
	CID   string
	Chunk int
}

func readBlobVectors(t *testing.T) blobVectors {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "spec", "vectors", "blob.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v blobVectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustCID(t *testing.T, s string) record.CID {
	t.Helper()
	cid, err := record.ParseCID(s)
	if err != nil {
		t.Fatal(err)
	}
	return cid
}

// filled is the manifest of a blob made of one byte.
func filled(fill byte, size int64) Manifest {
	full := sha256.Sum256(bytes.Repeat([]byte{fill}, ChunkSize))
	rest := sha256.Sum256(bytes.Repeat([]byte{fill}, int(size%ChunkSize)))
	var leaves []byte
	for range size / ChunkSize {
		leaves = append(leaves, full[:]...)
	}
	if size%ChunkSize != 0 || size == 0 {
		leaves = append(leaves, rest[:]...)
	}
	return newManifest(size, leaves)
}

func TestVectorNames(t *testing.T) {
	for _, v := range readBlobVectors(t).Names {
		if got := filled(v.Fill, v.Size).CID; got.String() != v.CID {
			t.Errorf("%d bytes of %d: %v, want %s", v.Size, v.Fill, got, v.CID)
		}
		if v.Root != "" {
			if got := record.NewCID(record.CodecDagPB, sha256.Sum256(unhex(t, v.Root))); got.String() != v.CID {
				t.Errorf("%d bytes of %d: the root's block is that of %v", v.Size, v.Fill, got)
			}
		}
	}
}

func TestVectorAsking(t *testing.T) {
	for _, v := range readBlobVectors(t).Asking {
		raw := unhex(t, v.Hex)
		var made []byte
		for _, f := range v.Frames {
			made = append(made, f.encode(t)...)
		}
		if !bytes.Equal(made, raw) {
			t.Errorf("%s: encodes to %x", v.Name, made)
		}
		r := bytes.NewReader(raw)
		for _, f := range v.Frames {
			kind, payload, err := readAskFrame(r, nil)
			if err != nil {
				t.Errorf("%s: %v", v.Name, err)
				break
			}
			if again := reencode(t, kind, payload); !bytes.Equal(again, f.encode(t)) {
				t.Errorf("%s: reads as %x", v.Name, again)
			}
		}
		if _, _, err := readAskFrame(r, nil); err != io.EOF {
			t.Errorf("%s: behind the frames: %v", v.Name, err)
		}
	}
}

func (f vectorFrame) encode(t *testing.T) []byte {
	t.Helper()
	switch f.Kind {
	case "have":
		var cids []record.CID
		for _, c := range f.CIDs {
			cids = append(cids, mustCID(t, c))
		}
		return appendHave(nil, cids)
	case "wrong":
		return appendWrong(nil, mustCID(t, f.CID), f.Chunk)
	}
	kinds := map[string]itemKind{"whole": itemWhole, "manifest": itemManifest, "range": itemRange}
	var body []byte
	for _, i := range f.Items {
		body = item{kinds[i.Kind], mustCID(t, i.CID), i.First, i.Count}.append(body)
	}
	return append(appendHead(nil, frameAsk, len(body)), body...)
}

// reencode decodes a payload of the asking side and encodes what it says.
func reencode(t *testing.T, kind frameKind, payload []byte) []byte {
	t.Helper()
	switch kind {
	case frameHave:
		cids, err := decodeHave(payload)
		if err != nil {
			t.Fatal(err)
		}
		return appendHave(nil, cids)
	case frameWrong:
		cid, chunk, err := decodeWrong(payload)
		if err != nil {
			t.Fatal(err)
		}
		return appendWrong(nil, cid, chunk)
	}
	out := appendHead(nil, frameAsk, len(payload))
	for len(payload) > 0 {
		it, rest, err := decodeItem(payload)
		if err != nil {
			t.Fatal(err)
		}
		out, payload = it.append(out), rest
	}
	return out
}

// streamOf is what a peer sends, as answers reads it.
func streamOf(t *testing.T, raw []byte) *answers {
	t.Helper()
	here, there := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = there.Write(raw) // fails where the reader has seen enough
		there.Close()
	}()
	t.Cleanup(func() { here.Close(); <-done })
	return newAnswers(here)
}

var refusalNames = map[frameKind]string{
	frameNotHere: "not here", frameBusy: "busy", frameUnreadable: "unreadable", frameGone: "gone",
}

func TestVectorChunk(t *testing.T) {
	for _, v := range readBlobVectors(t).Chunk {
		chunk, refusal, err := streamOf(t, unhex(t, v.Hex)).chunk(make([]byte, ChunkSize), nil)
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if v.Refusal != "" {
			if refusalNames[refusal] != v.Refusal {
				t.Errorf("%s: refusal %x", v.Name, refusal)
			}
			continue
		}
		sum := sha256.Sum256(chunk)
		if refusal != 0 || len(chunk) != v.Length || hex.EncodeToString(sum[:]) != v.SHA256 {
			t.Errorf("%s: %d bytes of %x, refusal %x", v.Name, len(chunk), sum, refusal)
		}
	}
}

func TestVectorManifest(t *testing.T) {
	for _, v := range readBlobVectors(t).Manifest {
		size, leaves, refusal, err := streamOf(t, unhex(t, v.Hex)).manifest(func() {})
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if v.Refusal != "" {
			if refusalNames[refusal] != v.Refusal {
				t.Errorf("%s: refusal %x", v.Name, refusal)
			}
			continue
		}
		m := Manifest{CID: mustCID(t, v.CID), Size: size, Leaves: leaves}
		if refusal != 0 || size != v.Size || hex.EncodeToString(leaves) != v.Leaves || m.Verify() != nil {
			t.Errorf("%s: size %d, leaves %x, refusal %x, %v", v.Name, size, leaves, refusal, m.Verify())
		}
	}
}

// failureClasses are those of spec/blob.md, section 10.
var failureClasses = map[string]error{
	"unknown-kind":       errWireKind,
	"wrong-length":       errWireLength,
	"malformed-item":     errWireItem,
	"wrong-chunk-length": errWireChunk,
	"impossible-size":    errWireSize,
	"cut-short":          io.ErrUnexpectedEOF,
	"wrong-manifest":     ErrManifest,
}

func TestVectorsBad(t *testing.T) {
	for _, v := range readBlobVectors(t).Bad {
		raw := unhex(t, v.Hex)
		var err error
		switch v.Read {
		case "asking":
			err = readAllAsks(raw)
		case "chunk":
			_, _, err = streamOf(t, raw).chunk(make([]byte, v.Most), nil)
		case "manifest":
			m := Manifest{CID: mustCID(t, v.CID)}
			m.Size, m.Leaves, _, err = streamOf(t, raw).manifest(func() {})
			if err == nil {
				err = m.Verify()
			}
		}
		want := failureClasses[v.Class]
		if want == nil || !errors.Is(err, want) {
			t.Errorf("%s: %v, want %s", v.Name, err, v.Class)
		}
	}
}

// readAllAsks reads what an asking side sends, to the end or the first error.
func readAllAsks(raw []byte) error {
	r := bytes.NewReader(raw)
	for {
		kind, payload, err := readAskFrame(r, nil)
		if err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		switch kind {
		case frameHave:
			_, err = decodeHave(payload)
		case frameWrong:
			_, _, err = decodeWrong(payload)
		}
		if err != nil {
			return err
		}
	}
}

// bytesStream is a Stream that yields b and takes no deadline.
type bytesStream struct{ *bytes.Reader }

func (bytesStream) Write(p []byte) (int, error)   { return len(p), nil }
func (bytesStream) Close() error                  { return nil }
func (bytesStream) SetDeadline(t time.Time) error { return nil }
