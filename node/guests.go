package node

import (
	"fmt"

	"boucan/record"
	"boucan/store"
)

// guests notes on disk which blobs lie here only as long as a record names
// them: what visitors dropped, and what other boxes share. Everything else in
// the folder is the operator's and is never deleted. The note is made before the
// bytes can be anybody's, so that no crash makes an operator's file of a guest or
// a guest of an operator's file. Safe for concurrent use.
type guests struct{ table *store.Bucket }

// guestPrefix precedes the binary CID in the keys; the values are empty.
const guestPrefix = "guest/"

// guestBatch keeps one write within the store's limits.
const guestBatch = 1000

func guestKey(cid record.CID) []byte { return noteKey(guestPrefix, cid) }

// has reports whether the blob is a guest.
func (g guests) has(cid record.CID) (bool, error) {
	_, ok, err := g.table.Get(guestKey(cid))
	if err != nil {
		return false, fmt.Errorf("read guest: %w", err)
	}
	return ok, nil
}

// mark notes blobs as guests. It is durable on return.
func (g guests) mark(cids ...record.CID) error { return g.write(cids, false, []byte{}) }

// note is mark for blobs of which there hardly is a note: it does not look first.
func (g guests) note(cids ...record.CID) error {
	if err := writeNotes(g.table, guestPrefix, cids, []byte{}); err != nil {
		return fmt.Errorf("note guests: %w", err)
	}
	return nil
}

// strike takes the note back.
func (g guests) strike(cids ...record.CID) error { return g.write(cids, true, nil) }

// write sets the value of those for which has is as said.
func (g guests) write(cids []record.CID, has bool, value []byte) error {
	var todo []record.CID
	for _, cid := range cids {
		switch is, err := g.has(cid); {
		case err != nil:
			return err
		case is == has:
			todo = append(todo, cid)
		}
	}
	if err := writeNotes(g.table, guestPrefix, todo, value); err != nil {
		return fmt.Errorf("note guests: %w", err)
	}
	return nil
}

// after lists up to guestBatch guests in the order of their CIDs, from behind
// the given one on.
func (g guests) after(cid record.CID) ([]record.CID, error) {
	from := append(guestKey(cid), 0)
	to := []byte(guestPrefix)
	to[len(to)-1]++
	keys, failed := g.table.Scan(from, to)
	var list []record.CID
	for key := range keys {
		if len(key) == len(guestPrefix)+len(record.CID{}) {
			list = append(list, record.CID(key[len(guestPrefix):]))
		}
		if len(list) == guestBatch {
			break
		}
	}
	if err := failed(); err != nil {
		return nil, fmt.Errorf("list guests: %w", err)
	}
	return list, nil
}
