package share

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"boucan/record"
)

// provedAtOnce is how many blobs a peer is asked to show in one frame. Each
// answer is a chunk.
const provedAtOnce = 4

// proof is one chunk by which a peer shows that it has a blob. Of a blob of several
// chunks its manifest is asked for, too: that is given only where all of them are
// good.
type proof struct {
	item item
	leaf [leafSize]byte
}

// append appends the questions.
func (p proof) append(b []byte) []byte {
	if p.item.kind == itemRange {
		b = item{kind: itemManifest, cid: p.item.cid}.append(b)
	}
	return p.item.append(b)
}

// read reads the answers.
func (p proof) read(in *answers, buf []byte) (chunk []byte, refusal frameKind, err error) {
	var whole frameKind
	if p.item.kind == itemRange {
		if _, _, whole, err = in.manifest(func() {}); err != nil {
			return nil, 0, err
		}
	}
	chunk, refusal, err = in.chunk(buf, nil)
	if refusal == 0 {
		refusal = whole
	}
	return chunk, refusal, err
}

// HeldBy asks a peer to show that it has blobs that lie here too, and returns
// those that it did: of each it has to send a chunk drawn at random, which is
// checked against what is known here, and the hashes of all of them. It costs little
// more than a megabyte a blob. The
// error says why the peer was not asked for all.
func (b *Blobs) HeldBy(ctx context.Context, peer record.Key, cids ...record.CID) (held []record.CID, err error) {
	var proofs []proof
	for _, cid := range cids {
		if p, ok := b.draw(cid); ok {
			proofs = append(proofs, p)
		}
	}
	if len(proofs) == 0 {
		return nil, nil
	}
	stream, err := b.transfers.openStream(ctx, peer)
	if err != nil {
		return nil, fmt.Errorf("ask who has blobs: %w", err)
	}
	defer stream.Close()
	defer context.AfterFunc(ctx, func() { stream.Close() })()
	in, buf := newAnswers(stream), make([]byte, ChunkSize)
	for some := range slices.Chunk(proofs, provedAtOnce) {
		more, err := ask(stream, in, buf, some)
		if held = append(held, more...); err != nil {
			return held, fmt.Errorf("ask who has blobs: %w", err)
		}
	}
	return held, nil
}

// draw chooses the chunk of a blob that is asked for.
func (b *Blobs) draw(cid record.CID) (proof, bool) {
	f, ok := b.Lookup(cid)
	if !ok {
		return proof{}, false
	}
	if cid.Codec() == record.CodecRaw {
		return proof{item{kind: itemWhole, cid: cid}, cid.Digest()}, true
	}
	i := rand.IntN(Chunks(f.Size))
	_, leaves, ok, err := b.leaves(cid, i/leavesAPiece)
	if err != nil || !ok {
		return proof{}, false
	}
	at := i % leavesAPiece * leafSize
	return proof{item{kind: itemRange, cid: cid, first: uint32(i), count: 1}, [leafSize]byte(leaves[at : at+leafSize])}, true
}

// ask asks for the chunks of a few proofs and returns the blobs whose chunk is
// right.
func ask(stream Stream, in *answers, buf []byte, proofs []proof) (held []record.CID, err error) {
	body := make([]byte, headSize, headSize+len(proofs)*2*rangeSize)
	for _, p := range proofs {
		body = p.append(body)
	}
	appendHead(body[:0], frameAsk, len(body)-headSize)
	if err := stream.SetDeadline(time.Now().Add(paceTime)); err != nil {
		return nil, err
	}
	if _, err := stream.Write(body); err != nil {
		return nil, err
	}
	in.resume()
	for _, p := range proofs {
		chunk, refusal, err := p.read(in, buf)
		switch {
		case err != nil:
			return held, err
		case refusal == frameBusy:
			return held, errors.New("peer is busy")
		case refusal != 0:
		case sha256.Sum256(chunk) != p.leaf:
			return held, errMismatch
		default:
			held = append(held, p.item.cid)
		}
	}
	return held, nil
}
