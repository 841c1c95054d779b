//go:build !boltstore && !386 && !arm && !mips && !mipsle

package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

func (e *badgerEngine) get(key []byte) (value []byte, ok bool, err error) {
	e.maps.RLock()
	defer e.maps.RUnlock()
	version := e.snap.acquire()
	defer e.snap.release(version)
	return e.getAt(key, version)
}

func (e *badgerEngine) getAt(key []byte, version uint64) (value []byte, ok bool, err error) {
	txn := e.db.NewTransactionAt(version, false)
	defer txn.Discard()
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, false, nil
	}
	if err == nil {
		value, err = item.ValueCopy([]byte{})
	}
	if err != nil {
		return nil, false, fmt.Errorf("%w: get: %w", ErrDamaged, err)
	}
	return value, true, nil
}

func (e *badgerEngine) fits(pairs, size int) bool {
	return pairs <= e.many && size+pairs*entryExtra <= e.most
}

func (e *badgerEngine) write(changes []change) error {
	if err := e.room.check(); err != nil {
		return err
	}
	if err := e.compact(); err != nil {
		return err
	}
	version := e.snap.newest() + 1
	size := 0
	for _, c := range changes {
		size += len(c.key) + len(c.value)
	}
	if e.fits(len(changes), size) {
		if err := e.commit(changes, version); err != nil {
			return err
		}
	} else {
		if err := e.commitParts(changes, version); err != nil {
			return err
		}
		version++ // the last version is that of the note's removal
	}
	e.db.SetDiscardTs(e.snap.advance(version))
	return nil
}

// commitParts writes what is too large for one transaction. The first part
// carries a note that the version is incomplete; the note goes, under the
// version after it, when all parts are durable.
func (e *badgerEngine) commitParts(changes []change, version uint64) error {
	note := change{key: unfinishedKey(), value: binary.BigEndian.AppendUint64(nil, version)}
	changes = append([]change{note}, lastOfEach(changes)...)
	for len(changes) > 0 {
		n, size := 0, 0
		for n < len(changes) {
			size += len(changes[n].key) + len(changes[n].value)
			if n > 0 && !e.fits(n+1, size) {
				break
			}
			n++
		}
		if err := e.commit(changes[:n], version); err != nil {
			return err
		}
		changes = changes[n:]
	}
	return e.commit([]change{{key: note.key, remove: true}}, version+1)
}

// lastOfEach keeps the last change of each key: two parts must not hold one key
// under one version.
func lastOfEach(changes []change) []change {
	seen := make(map[string]bool, len(changes))
	kept := make([]change, 0, len(changes))
	for _, c := range slices.Backward(changes) {
		if !seen[string(c.key)] {
			seen[string(c.key)] = true
			kept = append(kept, c)
		}
	}
	return kept
}

// commit writes one transaction and returns when it is durable. Its errors are
// never ErrFull: some of the write may be in the store by then.
func (e *badgerEngine) commit(changes []change, version uint64) error {
	txn := e.db.NewTransactionAt(version, true)
	defer txn.Discard()
	for _, c := range changes {
		var err error
		if c.remove {
			err = txn.Delete(c.key)
		} else {
			err = txn.Set(c.key, c.value)
		}
		if err != nil {
			return fmt.Errorf("store: write: %w", err)
		}
	}
	if err := txn.CommitAt(version, nil); err != nil {
		return fmt.Errorf("store: write: %w", err)
	}
	return e.followLog()
}

// compact merges the new tables into the level under them, which gives back
// the space of what was overwritten or deleted, once there are enough of them:
// each takes a look of every reader. It writes that level anew, so it waits
// until the new tables are a quarter of it, and for room for all of it.
//
// Badger could do so by itself, in goroutines that would run on when nobody
// writes, whatever happens to the disk meanwhile. So it happens here, at the
// cost of one writer's waiting, now and then, for as long as it takes.
func (e *badgerEngine) compact() error {
	if !e.due || e.damaged {
		return nil
	}
	levels := e.db.Levels()
	fresh, size := levels[0].NumTables, levels[0].Size
	var all int64
	for _, level := range levels {
		all += level.Size
	}
	// A memtable that is still being flushed would make Badger do all again.
	_, err := os.Lstat(e.logPath(e.log - 1))
	if err == nil && fresh < 2*mostNew {
		return nil
	}
	e.due = false
	if fresh < mostNew || size < (all-size)/4 || e.room.lack(all+e.room.need) {
		return nil
	}
	if err := e.verify(); err != nil {
		e.logger.Warn("store is damaged and no longer compacted; more at debug level")
		e.logger.Debug("store is damaged", "error", err)
		e.damaged = true
		return nil
	}
	e.setCompacting(true)
	defer e.setCompacting(false)
	if err := e.watch(func() error { return e.db.Flatten(1) }); err != nil {
		return badgerError("compact", err)
	}
	return nil
}

// verify reads all blocks and holds them to their checksums. A damaged one would
// end the merge of its table early, and what comes after it would be gone with
// the old table. Badger reports some kinds of damage by an error, others by a
// panic.
func (e *badgerEngine) verify() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("store: verify: %v", p)
		}
	}()
	return e.watch(e.db.VerifyChecksum)
}

func (e *badgerEngine) setCompacting(now bool) {
	e.maps.Lock()
	defer e.maps.Unlock()
	e.compacting = now
}

// findLog finds the log that Badger writes to, the one of the highest number.
func (e *badgerEngine) findLog() error {
	files, err := filesWith(e.dir, ".mem")
	if err != nil {
		return err
	}
	for _, f := range files {
		var n uint32
		if _, err := fmt.Sscanf(f.Name(), "%d.mem", &n); err == nil {
			e.log = max(e.log, n)
		}
	}
	e.room.newLog(e.logPath(e.log))
	return syncFolder(e.dir)
}

// followLog notices that Badger began a new log, whose name it does not make
// durable itself: without that a power cut would take the log and all in it.
// A transaction is smaller than a log, so there is at most one new log each
// time.
func (e *badgerEngine) followLog() error {
	next := e.logPath(e.log + 1)
	_, err := os.Lstat(next)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: follow log: %w", err)
	}
	e.log++
	e.due = true
	e.room.newLog(next)
	return syncFolder(e.dir)
}

func (e *badgerEngine) logPath(n uint32) string {
	return filepath.Join(e.dir, fmt.Sprintf("%05d.mem", n))
}

func unfinishedKey() []byte { return tableKey(meta, []byte("unfinished")) }

// recover undoes the parts of a write that a crash cut off, by writing what
// was there before. It may itself be cut off and run again: the note goes last.
func (e *badgerEngine) recover() error {
	newest := e.snap.newest()
	note, ok, err := e.getAt(unfinishedKey(), newest)
	if err != nil {
		return err
	}
	if ok {
		if len(note) != 8 {
			return fmt.Errorf("%w: note of an unfinished write", ErrDamaged)
		}
		if newest, err = e.undo(binary.BigEndian.Uint64(note), newest); err != nil {
			return err
		}
	}
	e.db.SetDiscardTs(e.snap.advance(newest))
	return nil
}

// undo restores what keys changed since before version had then, and returns
// the newest version afterwards.
func (e *badgerEngine) undo(version, newest uint64) (uint64, error) {
	keys, err := e.changedSince(version - 1)
	if err != nil {
		return 0, err
	}
	newest++
	var part []change
	size := 0
	for _, key := range keys {
		value, ok, err := e.getAt(key, version-1)
		if err != nil {
			return 0, err
		}
		size += len(key) + len(value)
		if len(part) > 0 && !e.fits(len(part)+1, size) {
			if err := e.commit(part, newest); err != nil {
				return 0, err
			}
			part, size = part[:0], len(key)+len(value)
		}
		part = append(part, change{key: key, value: value, remove: !ok})
	}
	if len(part) > 0 {
		if err := e.commit(part, newest); err != nil {
			return 0, err
		}
	}
	newest++
	return newest, e.commit([]change{{key: unfinishedKey(), remove: true}}, newest)
}

// changedSince lists the keys with a version above the given one, but for the
// note: those of one write, at most MaxPairs.
func (e *badgerEngine) changedSince(version uint64) ([][]byte, error) {
	txn := e.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{AllVersions: true, SinceTs: version})
	defer it.Close()
	var keys [][]byte
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().Key()
		if bytes.Equal(key, unfinishedKey()) || len(keys) > 0 && bytes.Equal(key, keys[len(keys)-1]) {
			continue
		}
		keys = append(keys, bytes.Clone(key))
	}
	return keys, nil
}

type badgerCursor struct {
	e       *badgerEngine
	version uint64
	txn     *badger.Txn
	it      *badger.Iterator
	r       span
	value   []byte // reused
	started bool
}

func (e *badgerEngine) scan(r span) (cursor, error) {
	e.maps.RLock()
	defer e.maps.RUnlock()
	version := e.snap.acquire()
	txn := e.db.NewTransactionAt(version, false)
	it := txn.NewIterator(badger.IteratorOptions{Reverse: r.back, Prefix: r.from[:1]})
	return &badgerCursor{e: e, version: version, txn: txn, it: it, r: r}, nil
}

func (c *badgerCursor) next() (key, value []byte, ok bool, err error) {
	switch {
	case c.started:
		c.it.Next()
	case c.r.back:
		c.it.Seek(c.r.to)
		if c.it.Valid() && bytes.Equal(c.it.Item().Key(), c.r.to) {
			c.it.Next()
		}
	default:
		c.it.Seek(c.r.from)
	}
	c.started = true
	if !c.it.Valid() {
		return nil, nil, false, nil
	}
	item := c.it.Item()
	key = item.Key()
	if bytes.Compare(key, c.r.from) < 0 || bytes.Compare(key, c.r.to) >= 0 {
		return nil, nil, false, nil
	}
	if c.value, err = item.ValueCopy(c.value[:0]); err != nil {
		return nil, nil, false, fmt.Errorf("%w: scan: %w", ErrDamaged, err)
	}
	return key, c.value, true, nil
}

func (c *badgerCursor) close() {
	c.e.maps.RLock()
	defer c.e.maps.RUnlock()
	c.it.Close()
	c.txn.Discard()
	c.e.snap.release(c.version)
}
