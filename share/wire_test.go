package share

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"

	"boucan/record"
)

// The limits of the protocol, each at the limit and one past it. What is longer
// than a vector wants to be stands here; the rest is in spec/vectors/blob.json.
func TestFrameLimits(t *testing.T) {
	head := func(kind frameKind, size uint32) (b [headSize]byte) {
		b[0] = byte(kind)
		binary.BigEndian.PutUint32(b[1:], size)
		return b
	}
	asks := []struct {
		kind frameKind
		size uint32
		ok   bool
	}{
		{frameAsk, 36, false}, {frameAsk, 37, true}, {frameAsk, maxAskFrame, true}, {frameAsk, maxAskFrame + 1, false},
		{frameHave, 0, false}, {frameHave, 36, true}, {frameHave, maxItems * 36, true}, {frameHave, (maxItems + 1) * 36, false},
		{frameWrong, 39, false}, {frameWrong, 40, true}, {frameWrong, 41, false},
	}
	for _, c := range asks {
		h, err := decodeAskHead(head(c.kind, c.size))
		if (err == nil) != c.ok || (c.ok && h != frameHead{c.kind, int(c.size)}) {
			t.Errorf("asking, kind %x of %d bytes: %v, %v", c.kind, c.size, h, err)
		}
	}
	answers := []struct {
		kind frameKind
		size uint32
		ok   bool
	}{
		{framePiece, minPiece - 1, false}, {framePiece, minPiece, true}, {framePiece, maxPiece, true}, {framePiece, maxPiece + 1, false},
		{frameLast, 0, true}, {frameLast, maxPiece, true}, {frameLast, maxPiece + 1, false},
		{frameSize, 7, false}, {frameSize, 8, true}, {frameSize, 9, false},
		{frameLeaves, 0, false}, {frameLeaves, 32, true}, {frameLeaves, maxPiece, true}, {frameLeaves, maxPiece + 32, false},
		{frameNotHere, 0, true}, {frameBusy, 1, false}, {frameGone + 1, 0, false},
	}
	for _, c := range answers {
		h, err := decodeAnswerHead(head(c.kind, c.size))
		if (err == nil) != c.ok || (c.ok && h != frameHead{c.kind, int(c.size)}) {
			t.Errorf("answering, kind %x of %d bytes: %v, %v", c.kind, c.size, h, err)
		}
	}
}

func TestItemLimits(t *testing.T) {
	one := item{kind: itemWhole, cid: filled(1, 5).CID}.append(nil)
	if err := checkItems(bytes.Repeat(one, maxItems)); err != nil {
		t.Errorf("%d items: %v", maxItems, err)
	}
	if err := checkItems(bytes.Repeat(one, maxItems+1)); !errors.Is(err, errWireItem) {
		t.Errorf("%d items: %v", maxItems+1, err)
	}
	cid := filled(1, 2*ChunkSize).CID
	cases := []struct {
		first, count uint32
		ok           bool
	}{
		{0, 0, false}, {0, 1, true}, {0, maxRange, true}, {0, maxRange + 1, false},
		{maxChunks - 1, 1, true}, {maxChunks - 1, 2, false}, {maxChunks, 1, false}, {1<<32 - 1, 1, false},
	}
	for _, c := range cases {
		it := item{itemRange, cid, c.first, c.count}
		got, rest, err := decodeItem(it.append(nil))
		if (err == nil) != c.ok || (c.ok && (got != it || len(rest) != 0)) {
			t.Errorf("range of %d from %d: %v, %v", c.count, c.first, got, err)
		}
	}
	for _, size := range []int64{ChunkSize, ChunkSize + 1, record.MaxBlob, record.MaxBlob + 1} {
		got, err := decodeSize(appendSize(nil, size)[headSize:])
		if ok := size > ChunkSize && size <= record.MaxBlob; (err == nil) != ok || (ok && got != size) {
			t.Errorf("size %d: %d, %v", size, got, err)
		}
	}
}

// The longest manifest there is comes in frames of 256 KiB, and is asked leave
// for before the second.
func TestLongestManifest(t *testing.T) {
	leaves := bytes.Repeat([]byte{7}, maxChunks*leafSize)
	raw := appendSize(nil, record.MaxBlob)
	for at := 0; at < len(leaves); at += maxPiece {
		raw = append(appendHead(raw, frameLeaves, maxPiece), leaves[at:at+maxPiece]...)
	}
	large := 0
	a := newAnswers(bytesStream{bytes.NewReader(raw)})
	size, got, refusal, err := a.manifest(func() { large++ })
	if err != nil || refusal != 0 || size != record.MaxBlob || !bytes.Equal(got, leaves) || large != 1 {
		t.Errorf("size %d, %d bytes of leaves, refusal %x, asked leave %d times, %v", size, len(got), refusal, large, err)
	}
}

// A size costs no memory before leaves come for it.
func TestManifestClaimTakesNoMemory(t *testing.T) {
	raw := appendSize(nil, record.MaxBlob)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, _, err := newAnswers(bytesStream{bytes.NewReader(raw)}).manifest(func() {})
	runtime.ReadMemStats(&after)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 2*readAhead {
		t.Errorf("a claim of 256 GiB costs %d bytes, want at most %d", took, 2*readAhead)
	}
}

// A chunk may be longer than the record says: it is moved, and still read whole.
func TestChunkMovesWhenTheRecordLied(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 512)
	raw := append(appendHead(nil, framePiece, 4096), data[:4096]...)
	raw = append(appendHead(raw, frameLast, 4096), data[4096:]...)
	moved := 0
	more := func(have []byte) []byte {
		moved++
		b := make([]byte, ChunkSize)
		copy(b, have)
		return b
	}
	chunk, _, err := newAnswers(bytesStream{bytes.NewReader(raw)}).chunk(make([]byte, 5000), more)
	if err != nil || !bytes.Equal(chunk, data) || moved != 1 {
		t.Errorf("%d bytes, moved %d times, %v", len(chunk), moved, err)
	}
	full := make([]byte, maxPiece)
	raw = nil
	for range ChunkSize / maxPiece {
		raw = append(appendHead(raw, framePiece, maxPiece), full...)
	}
	for extra, want := range map[int]error{0: nil, 1: errWireChunk} {
		end := append(appendHead(bytes.Clone(raw), frameLast, extra), full[:extra]...)
		_, _, err := newAnswers(bytesStream{bytes.NewReader(end)}).chunk(make([]byte, ChunkSize), more)
		if !errors.Is(err, want) {
			t.Errorf("%d bytes past 1 MiB: %v", extra, err)
		}
	}
}

// What is accepted encodes to the same bytes, so that nothing is read into a
// frame that is not there.
func FuzzAsking(f *testing.F) {
	small, large := filled(1, 5).CID, filled(1, 3*ChunkSize).CID
	whole := item{kind: itemWhole, cid: small}.append(nil)
	span := item{itemRange, large, 1, 2}.append(nil)
	f.Add(append(appendHead(nil, frameAsk, len(whole)), whole...))
	f.Add(append(appendHead(nil, frameAsk, len(span)), span...))
	f.Add(appendHave(nil, []record.CID{small, large}))
	f.Add(appendWrong(appendHave(nil, []record.CID{small}), large, 2))
	f.Add([]byte{1, 0x80, 0, 0, 0})
	f.Add([]byte{1, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var again, buf []byte
		r := bytes.NewReader(raw)
		for {
			kind, payload, err := readAskFrame(r, buf)
			if cap(payload) > 2*maxAskFrame {
				t.Fatalf("%d bytes taken", cap(payload))
			}
			if err != nil {
				break
			}
			if _, bad := decodeHave(payload); kind == frameHave && bad != nil {
				break
			}
			if _, _, bad := decodeWrong(payload); kind == frameWrong && bad != nil {
				break
			}
			again = append(again, reencode(t, kind, payload)...)
			buf = payload
		}
		if !bytes.HasPrefix(raw, again) {
			t.Fatalf("%x was read as %x", raw, again)
		}
	})
}

func FuzzItem(f *testing.F) {
	f.Add(item{kind: itemWhole, cid: filled(1, 5).CID}.append(nil))
	f.Add(item{kind: itemManifest, cid: filled(1, 2*ChunkSize).CID}.append(nil))
	f.Add(item{itemRange, filled(1, 2*ChunkSize).CID, 1<<32 - 1, 1<<32 - 1}.append(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		it, rest, err := decodeItem(raw)
		if err == nil && !bytes.Equal(append(it.append(nil), rest...), raw) {
			t.Fatalf("%x was read as %+v and %x", raw, it, rest)
		}
	})
}

func FuzzAnswers(f *testing.F) {
	for _, kind := range []frameKind{framePiece, frameLast, frameSize, frameLeaves, frameNotHere, frameGone} {
		f.Add(append(appendHead(nil, kind, 32), make([]byte, 32)...), 32, int64(2*ChunkSize))
	}
	m := filled(3, 2*ChunkSize)
	f.Add(append(appendHead(appendSize(nil, m.Size), frameLeaves, len(m.Leaves)), m.Leaves...), 5, m.Size)
	f.Add(appendSize(nil, -1), 1<<20, int64(-1))
	f.Fuzz(func(t *testing.T, raw []byte, most int, size int64) {
		most = max(0, min(most, ChunkSize))
		chunk, refusal, err := newAnswers(bytesStream{bytes.NewReader(raw)}).chunk(make([]byte, most), nil)
		if len(chunk) > most || (err != nil || refusal != 0) && chunk != nil {
			t.Fatalf("a chunk of %d bytes, refusal %x, %v", len(chunk), refusal, err)
		}
		got, leaves, refusal, err := newAnswers(bytesStream{bytes.NewReader(raw)}).manifest(func() {})
		if err == nil && refusal == 0 && len(leaves) != Chunks(got)*leafSize {
			t.Fatalf("%d bytes of leaves for %d bytes", len(leaves), got)
		}
		_ = Manifest{CID: m.CID, Size: size, Leaves: raw}.Verify()
	})
}
