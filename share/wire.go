package share

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"boucan/record"
)

// Protocol is the name under which two nodes speak what this file encodes
// (spec/blob.md).
const Protocol = "/boucan/blob/1"

// Limits of the protocol, part of the wire format (spec/blob.md, section 3).
const (
	// maxAskFrame is the longest payload that the asking side sends, in bytes.
	maxAskFrame = 64 << 10
	// maxItems is how many items one ask frame holds, and how many CIDs one
	// have frame.
	maxItems = 1024
	// maxRange is how many chunks one item asks for.
	maxRange = 1024
	// maxPiece is the longest payload that the answering side sends, in bytes.
	maxPiece = 256 << 10
	// minPiece is the shortest piece that may have another behind it, in bytes.
	// It bounds what a peer can make a receiver spend on headers.
	minPiece = 1 << 10
	// maxLeaves is how many leaf hashes one leaves frame holds: maxPiece bytes.
	maxLeaves = maxPiece / leafSize
	// maxChunks is how many chunks the largest blob has.
	maxChunks = record.MaxBlob / ChunkSize
)

// Sizes of what frames are made of, in bytes (spec/blob.md, section 4).
const (
	headSize  = 1 + 4             // kind, length
	cidSize   = len(record.CID{}) // 36
	wholeSize = 1 + cidSize
	rangeSize = 1 + cidSize + 4 + 4
	wrongSize = cidSize + 4
)

// The ways in which bytes from a peer fail to be this protocol. All of them end
// the stream.
var (
	errWireKind   = errors.New("blob frame of an unknown kind")
	errWireLength = errors.New("blob frame of a wrong length")
	errWireItem   = errors.New("blob frame with a malformed item")
	errWireChunk  = errors.New("blob chunk of a wrong length")
	errWireSize   = errors.New("blob manifest of an impossible size")
)

// frameKind is the first byte of every frame.
type frameKind byte

// Frames of the asking side are below 0x10, those of the answering side are not.
const (
	frameAsk   frameKind = 0x01 // items, answered one by one in their order
	frameHave  frameKind = 0x02 // CIDs that have become whole at the sender
	frameWrong frameKind = 0x03 // a CID and a chunk of it that did not match

	framePiece  frameKind = 0x10 // part of a chunk; more of it follows
	frameLast   frameKind = 0x11 // the end of a chunk, or all of it
	frameSize   frameKind = 0x12 // size of a blob of several chunks
	frameLeaves frameKind = 0x13 // leaf hashes, after frameSize

	frameNotHere    frameKind = 0x20 // not held, may be later
	frameBusy       frameKind = 0x21 // held or not, ask again in a moment
	frameUnreadable frameKind = 0x22 // held, and the disk did not give it
	frameGone       frameKind = 0x23 // not held and not to be expected again
)

// refusal reports whether a frame of this kind says why an item is not answered.
func (k frameKind) refusal() bool { return k >= frameNotHere && k <= frameGone }

// frameHead is what stands before every payload.
type frameHead struct {
	kind frameKind
	size int // bytes of payload
}

// appendHead appends the five bytes of a head.
func appendHead(b []byte, kind frameKind, size int) []byte {
	return binary.BigEndian.AppendUint32(append(b, byte(kind)), uint32(size))
}

// decodeAskHead reads a head that the asking side sent and checks its length
// against the limits of its kind.
func decodeAskHead(b [headSize]byte) (frameHead, error) {
	kind, size := frameKind(b[0]), binary.BigEndian.Uint32(b[1:])
	ok := false
	switch kind {
	case frameAsk:
		ok = size >= uint32(wholeSize) && size <= maxAskFrame
	case frameHave:
		ok = size >= uint32(cidSize) && size <= uint32(maxItems*cidSize) && size%uint32(cidSize) == 0
	case frameWrong:
		ok = size == uint32(wrongSize)
	default:
		return frameHead{}, errWireKind
	}
	if !ok {
		return frameHead{}, errWireLength
	}
	return frameHead{kind, int(size)}, nil
}

// decodeAnswerHead is decodeAskHead for the answering side.
func decodeAnswerHead(b [headSize]byte) (frameHead, error) {
	kind, size := frameKind(b[0]), binary.BigEndian.Uint32(b[1:])
	ok := false
	switch kind {
	case framePiece:
		ok = size >= minPiece && size <= maxPiece
	case frameLast:
		ok = size <= maxPiece
	case frameSize:
		ok = size == 8
	case frameLeaves:
		ok = size >= leafSize && size <= maxPiece && size%leafSize == 0
	case frameNotHere, frameBusy, frameUnreadable, frameGone:
		ok = size == 0
	default:
		return frameHead{}, errWireKind
	}
	if !ok {
		return frameHead{}, errWireLength
	}
	return frameHead{kind, int(size)}, nil
}

// itemKind says what an item of an ask frame asks for.
type itemKind byte

// The kinds of items.
const (
	itemWhole    itemKind = 0x01 // all bytes of a blob of one chunk
	itemManifest itemKind = 0x02 // size and leaf hashes of a blob of several
	itemRange    itemKind = 0x03 // chunks of a blob of several
)

// item is one question.
type item struct {
	kind  itemKind
	cid   record.CID
	first uint32 // first chunk, counted from 0; itemRange only
	count uint32 // of chunks, at least one; itemRange only
}

// append appends the item's bytes.
func (i item) append(b []byte) []byte {
	b = append(append(b, byte(i.kind)), i.cid[:]...)
	if i.kind == itemRange {
		b = binary.BigEndian.AppendUint32(b, i.first)
		b = binary.BigEndian.AppendUint32(b, i.count)
	}
	return b
}

// decodeItem reads the first item of b and returns the bytes behind it.
func decodeItem(b []byte) (item, []byte, error) {
	if len(b) < wholeSize {
		return item{}, nil, errWireItem
	}
	i := item{kind: itemKind(b[0]), cid: record.CID(b[1:wholeSize])}
	b = b[wholeSize:]
	codec := byte(record.CodecDagPB)
	switch i.kind {
	case itemWhole:
		codec = record.CodecRaw
	case itemManifest:
	case itemRange:
		if len(b) < rangeSize-wholeSize {
			return item{}, nil, errWireItem
		}
		i.first, i.count = binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
		b = b[rangeSize-wholeSize:]
		if i.count < 1 || i.count > maxRange || i.first >= maxChunks || i.first+i.count > maxChunks {
			return item{}, nil, errWireItem
		}
	default:
		return item{}, nil, errWireItem
	}
	if !i.cid.Valid() || i.cid.Codec() != codec {
		return item{}, nil, errWireItem
	}
	return i, b, nil
}

// checkItems reports errWireItem unless the payload of an ask frame holds
// between one and maxItems well-formed items and nothing else.
func checkItems(payload []byte) error {
	for n := 0; len(payload) > 0; n++ {
		if n == maxItems {
			return errWireItem
		}
		var err error
		if _, payload, err = decodeItem(payload); err != nil {
			return err
		}
	}
	return nil
}

// decodeHave reads the payload of a have frame.
func decodeHave(payload []byte) ([]record.CID, error) {
	if len(payload)%cidSize != 0 || len(payload) > maxItems*cidSize {
		return nil, errWireLength
	}
	cids := make([]record.CID, 0, len(payload)/cidSize)
	for b := range slices.Chunk(payload, cidSize) {
		cid := record.CID(b)
		if !cid.Valid() {
			return nil, errWireItem
		}
		cids = append(cids, cid)
	}
	return cids, nil
}

// appendHave appends a whole have frame. There are at most maxItems CIDs.
func appendHave(b []byte, cids []record.CID) []byte {
	b = appendHead(b, frameHave, len(cids)*cidSize)
	for i := range cids {
		b = append(b, cids[i][:]...)
	}
	return b
}

// decodeWrong reads the payload of a wrong frame.
func decodeWrong(payload []byte) (cid record.CID, chunk int, err error) {
	if len(payload) != wrongSize {
		return record.CID{}, 0, errWireLength
	}
	cid = record.CID(payload[:cidSize])
	n := binary.BigEndian.Uint32(payload[cidSize:])
	if !cid.Valid() || n >= maxChunks || (cid.Codec() == record.CodecRaw && n != 0) {
		return record.CID{}, 0, errWireItem
	}
	return cid, int(n), nil
}

// appendWrong appends a whole wrong frame.
func appendWrong(b []byte, cid record.CID, chunk int) []byte {
	b = append(appendHead(b, frameWrong, wrongSize), cid[:]...)
	return binary.BigEndian.AppendUint32(b, uint32(chunk))
}

// appendSize appends a whole size frame.
func appendSize(b []byte, size int64) []byte {
	return binary.BigEndian.AppendUint64(appendHead(b, frameSize, 8), uint64(size))
}

// decodeSize reads the payload of a size frame. Only blobs of several chunks
// have one.
func decodeSize(payload []byte) (int64, error) {
	if len(payload) != 8 {
		return 0, errWireLength
	}
	size := binary.BigEndian.Uint64(payload)
	if size <= ChunkSize || size > record.MaxBlob {
		return 0, errWireSize
	}
	return int64(size), nil
}

// readAskFrame reads one frame of the asking side. The payload is in buf, which
// grows to its length, never beyond maxAskFrame. The error is io.EOF only
// between two frames.
func readAskFrame(r io.Reader, buf []byte) (frameKind, []byte, error) {
	var raw [headSize]byte
	if _, err := io.ReadFull(r, raw[:]); err != nil {
		return 0, buf, err
	}
	head, err := decodeAskHead(raw)
	if err != nil {
		return 0, buf, err
	}
	buf = slices.Grow(buf[:0], head.size)[:head.size]
	if _, err := io.ReadFull(r, buf); err != nil {
		return 0, buf, fmt.Errorf("read blob frame: %w", noEOF(err))
	}
	if head.kind == frameAsk {
		err = checkItems(buf)
	}
	return head.kind, buf, err
}

// noEOF turns an end between two bytes that belong together into an error that
// nobody takes for a proper end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
