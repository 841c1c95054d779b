package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"boucan/record"
	"boucan/share"
)

// fillAuthors is how many boxes the files of Fill come from.
const fillAuthors = 20

// markSize is how many bytes, the last ones, tell a file of Fill from the others.
const markSize = 8

// Fill gives the data folder of c, which nothing may serve, what a node has that
// copied so many files of size bytes from others: records, index and files, which
// are holes but for their last bytes and take no room. It is for measuring
// (bench/start); the folder is then opened as any other.
func Fill(ctx context.Context, c Config, files int, size int64) error {
	if rest := size % share.ChunkSize; size < share.ChunkSize || rest > 0 && rest < markSize {
		return fmt.Errorf("files to measure with have at least %d bytes, and %d in their last chunk", share.ChunkSize, markSize)
	}
	n, err := Open(c)
	if err != nil {
		return err
	}
	defer n.close()
	var authors []signer
	for i := range fillAuthors {
		seed := sha256.Sum256(fmt.Append(nil, "fill ", i))
		authors = append(authors, signer{ed25519.NewKeyFromSeed(seed[:])})
	}
	hole := sha256.Sum256(make([]byte, share.ChunkSize))
	const atOnce = 500
	for from := 0; from < files && ctx.Err() == nil; from += atOnce {
		if err := n.fill(ctx, authors, hole, from, min(files, from+atOnce), size); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (n *Node) fill(ctx context.Context, authors []signer, hole [sha256.Size]byte, from, to int, size int64) error {
	var recs []*record.Record
	var here []share.Hashed
	var cids []record.CID
	for i := from; i < to; i++ {
		h, err := n.fillFile(i, size, hole)
		if err != nil {
			return err
		}
		r, err := authors[i%len(authors)].sign(record.Draft{
			Created: n.clock.Now().Add(-time.Duration(i) * time.Second), Life: fileLife,
			Body: record.File{Name: h.Path, CID: h.CID(), Size: uint64(size), MediaType: "video/mp4"},
		})
		if err != nil {
			return err
		}
		recs, here, cids = append(recs, r), append(here, h), append(cids, h.CID())
	}
	if err := n.library.guests.mark(cids...); err != nil {
		return err
	}
	errs, err := n.records.Add(ctx, recs)
	if err = errors.Join(append(errs, err)...); err != nil {
		return fmt.Errorf("take in records: %w", err)
	}
	return n.blobs.Adopt(here...)
}

// fillFile makes one file: zeros, and eight bytes that no other has.
func (n *Node) fillFile(i int, size int64, hole [sha256.Size]byte) (share.Hashed, error) {
	path := fmt.Sprintf("box %02d/%03d/film %06d.mp4", i%fillAuthors, i/1000, i)
	on := filepath.Join(n.FilesDir(), filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(on), 0o755); err != nil {
		return share.Hashed{}, err
	}
	f, err := os.Create(on)
	if err != nil {
		return share.Hashed{}, err
	}
	tail := binary.BigEndian.AppendUint64(nil, uint64(i))
	_, err = f.WriteAt(tail, size-int64(len(tail)))
	if err := errors.Join(err, f.Close()); err != nil {
		return share.Hashed{}, err
	}
	chunks := share.Chunks(size)
	last := make([]byte, size-int64(chunks-1)*share.ChunkSize)
	copy(last[len(last)-len(tail):], tail)
	sum := sha256.Sum256(last)
	return share.Hashed{Path: path, Size: size, Leaves: append(bytes.Repeat(hole[:], chunks-1), sum[:]...)}, nil
}
