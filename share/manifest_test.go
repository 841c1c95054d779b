package share

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"io"
	"math/bits"
	"os"
	"testing"

	"boucan/record"
)

// vector is one entry of spec/vectors/cid.json, whose "about" says how the
// bytes are made.
type vector struct {
	Name   string `json:"name"`
	Bytes  string `json:"bytes"`
	Seed   string `json:"seed"`
	Text   string `json:"text"`
	Size   int64  `json:"size"`
	CID    string `json:"cid"`
	Chunks int    `json:"chunks"`
	Source string `json:"source"`
}

func vectors(t *testing.T) []vector {
	t.Helper()
	raw, err := os.ReadFile("../spec/vectors/cid.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []vector `json:"vectors"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	return file.Vectors
}

func (v vector) content(t *testing.T) io.ReaderAt {
	t.Helper()
	switch v.Bytes {
	case "text":
		return bytes.NewReader([]byte(v.Text))
	case "zeros":
		return zeros{v.Size}
	case "chacha20":
		return stream{key: sha256.Sum256([]byte(v.Seed)), size: v.Size}
	}
	t.Fatalf("%s: unknown bytes %q", v.Name, v.Bytes)
	return nil
}

func TestCIDVectors(t *testing.T) {
	t.Parallel()
	hashers := newHashers(2)
	chunks := map[string][]byte{} // leaves of whole chunks by seed, as the vectors share them
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			var m Manifest
			var err error
			if v.Bytes == "chacha20" && v.Size >= 1<<30 {
				m, err = v.identify(t, hashers, chunks)
			} else {
				m, err = hashers.identify(t.Context(), v.content(t), v.Size)
			}
			if err != nil {
				t.Fatal(err)
			}
			if m.CID.String() != v.CID || m.Chunks() != v.Chunks || m.Size != v.Size {
				t.Errorf("%v, %d chunks", m.CID, m.Chunks())
			}
			if err := m.Verify(); err != nil {
				t.Error(err)
			}
			if v.Size > 8<<20 {
				return // the same by hand of the streaming hasher takes as long again
			}
			h := NewHasher()
			if _, err := io.Copy(h, io.NewSectionReader(v.content(t), 0, v.Size)); err != nil {
				t.Fatal(err)
			}
			if s := h.Manifest(); s.CID != m.CID || !bytes.Equal(s.Leaves, m.Leaves) {
				t.Errorf("streamed: %v", s.CID)
			}
		})
	}
}

// identify is hashers.identify that makes every whole chunk once.
func (v vector) identify(t *testing.T, h hashers, chunks map[string][]byte) (Manifest, error) {
	whole := int(v.Size / ChunkSize)
	content := v.content(t)
	known := chunks[v.Seed]
	if n := len(known) / leafSize; n < whole {
		more := stream{key: sha256.Sum256([]byte(v.Seed)), size: int64(whole) * ChunkSize}
		leaves := make([]byte, whole*leafSize)
		copy(leaves, known)
		err := h.each(whole-n, func(i int) error {
			sum, err := h.sum(more, int64(n+i)*ChunkSize, ChunkSize)
			copy(leaves[(n+i)*leafSize:], sum[:])
			return err
		})
		if err != nil {
			return Manifest{}, err
		}
		chunks[v.Seed], known = leaves, leaves
	}
	leaves := bytes.Clone(known[:whole*leafSize])
	if rest := int(v.Size % ChunkSize); rest > 0 {
		sum, err := h.sum(content, int64(whole)*ChunkSize, rest)
		if err != nil {
			return Manifest{}, err
		}
		leaves = append(leaves, sum[:]...)
	}
	return newManifest(v.Size, leaves), nil
}

func TestManifestThatLies(t *testing.T) {
	_, good := blobOf(1, 3*ChunkSize+5)
	for name, change := range map[string]func(*Manifest){
		"other hash":      func(m *Manifest) { m.Leaves[40] ^= 1 },
		"one chunk less":  func(m *Manifest) { m.Leaves = m.Leaves[:3*leafSize] },
		"one chunk more":  func(m *Manifest) { m.Leaves = append(m.Leaves, m.Leaves[:leafSize]...) },
		"one byte less":   func(m *Manifest) { m.Size-- },
		"another size":    func(m *Manifest) { m.Size -= ChunkSize },
		"negative":        func(m *Manifest) { m.Size = -1 },
		"beyond limit":    func(m *Manifest) { m.Size = record.MaxBlob + 1 },
		"2^63-1":          func(m *Manifest) { m.Size = 1<<63 - 1 },
		"no chunks":       func(m *Manifest) { m.Leaves = nil },
		"as a raw block":  func(m *Manifest) { m.CID = record.NewCID(record.CodecRaw, m.CID.Digest()) },
		"another's chunk": func(m *Manifest) { copy(m.Leaves, m.Leaves[leafSize:2*leafSize]) },
	} {
		m := good
		m.Leaves = bytes.Clone(good.Leaves)
		change(&m)
		if m.Verify() == nil {
			t.Errorf("%s: verifies", name)
		}
	}
	if err := good.Verify(); err != nil {
		t.Error(err)
	}
	content, m := blobOf(2, ChunkSize+3)
	if !m.VerifyChunk(1, content[ChunkSize:]) || m.VerifyChunk(1, content[ChunkSize+1:]) ||
		m.VerifyChunk(0, content) || m.VerifyChunk(2, nil) || m.VerifyChunk(-1, nil) {
		t.Error("chunks are not verified")
	}
}

// The largest blob has a manifest of 8 MiB, in pieces that fit the store.
func TestLongManifest(t *testing.T) {
	b := newBox(t)
	leaves := make([]byte, record.MaxBlob/ChunkSize*leafSize)
	for i := range leaves {
		leaves[i] = byte(i / leafSize)
	}
	m := newManifest(record.MaxBlob, leaves)
	if err := b.keepManifest(m); err != nil {
		t.Fatal(err)
	}
	b.again()
	got, ok, err := b.Manifest(m.CID)
	if err != nil || !ok || got.Size != m.Size || !bytes.Equal(got.Leaves, m.Leaves) {
		t.Fatalf("%v %v", ok, err)
	}
	if err := b.dropPartial(m.CID); err != nil {
		t.Fatal(err)
	}
	if keys := b.table.with(keyManifest); len(keys) != 0 {
		t.Errorf("%d pieces left", len(keys))
	}
}

// zeros is a file of zeros.
type zeros struct{ size int64 }

func (z zeros) ReadAt(p []byte, offset int64) (int, error) {
	n := int(max(0, min(int64(len(p)), z.size-offset)))
	clear(p[:n])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// stream is a file of a ChaCha20 key stream (RFC 8439, section 2.4) with a nonce
// of zeros and the block counter beginning at 0.
type stream struct {
	key  [32]byte
	size int64
}

func (s stream) ReadAt(p []byte, offset int64) (int, error) {
	n := int(max(0, min(int64(len(p)), s.size-offset)))
	var block [64]byte
	for i := 0; i < n; {
		at := offset + int64(i)
		s.block(&block, uint32(at/64))
		i += copy(p[i:n], block[at%64:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (s stream) block(out *[64]byte, counter uint32) {
	x := [16]uint32{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}
	for i := range 8 {
		x[4+i] = binary.LittleEndian.Uint32(s.key[4*i:])
	}
	x[12] = counter
	a0, a1, a2, a3 := x[0], x[1], x[2], x[3]
	b0, b1, b2, b3 := x[4], x[5], x[6], x[7]
	c0, c1, c2, c3 := x[8], x[9], x[10], x[11]
	d0, d1, d2, d3 := x[12], x[13], x[14], x[15]
	for range 10 {
		a0, b0, c0, d0 = quarter(a0, b0, c0, d0)
		a1, b1, c1, d1 = quarter(a1, b1, c1, d1)
		a2, b2, c2, d2 = quarter(a2, b2, c2, d2)
		a3, b3, c3, d3 = quarter(a3, b3, c3, d3)
		a0, b1, c2, d3 = quarter(a0, b1, c2, d3)
		a1, b2, c3, d0 = quarter(a1, b2, c3, d0)
		a2, b3, c0, d1 = quarter(a2, b3, c0, d1)
		a3, b0, c1, d2 = quarter(a3, b0, c1, d2)
	}
	for i, v := range [16]uint32{a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3} {
		binary.LittleEndian.PutUint32(out[4*i:], v+x[i])
	}
}

func quarter(a, b, c, d uint32) (uint32, uint32, uint32, uint32) {
	a += b
	d = bits.RotateLeft32(d^a, 16)
	c += d
	b = bits.RotateLeft32(b^c, 12)
	a += b
	d = bits.RotateLeft32(d^a, 8)
	c += d
	b = bits.RotateLeft32(b^c, 7)
	return a, b, c, d
}
