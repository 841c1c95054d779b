package node

import (
	"fmt"
	"slices"

	"boucan/record"
	"boucan/store"
)

// journal notes on disk which blobs are about to be deleted, so that a crash
// between the end of their last record and the deletion does not leave them in
// the folder for ever. Safe for concurrent use.
type journal struct{ table *store.Bucket }

// journalPrefix precedes the binary CID in the keys; the values are empty.
const journalPrefix = "release/"

// journalBatch keeps one write within the store's limits.
const journalBatch = 1000

func (j journal) note(cids []record.CID) error { return j.write(cids, []byte{}) }

func (j journal) strike(cids []record.CID) error { return j.write(cids, nil) }

func (j journal) write(cids []record.CID, value []byte) error {
	for some := range slices.Chunk(cids, journalBatch) {
		err := j.table.Write(func(yield func(key, value []byte) bool) {
			for _, c := range some {
				if !yield(append([]byte(journalPrefix), c[:]...), value) {
					return
				}
			}
		})
		if err != nil {
			return fmt.Errorf("note deletions: %w", err)
		}
	}
	return nil
}

// pending lists what was noted and not struck off.
func (j journal) pending() ([]record.CID, error) {
	from := []byte(journalPrefix)
	to := []byte(journalPrefix)
	to[len(to)-1]++
	keys, failed := j.table.Scan(from, to)
	var cids []record.CID
	for key := range keys {
		if len(key) == len(from)+len(record.CID{}) {
			cids = append(cids, record.CID(key[len(from):]))
		}
	}
	if err := failed(); err != nil {
		return nil, fmt.Errorf("read noted deletions: %w", err)
	}
	return cids, nil
}
