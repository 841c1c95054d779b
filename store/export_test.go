package store

import (
	"errors"
	"fmt"
	"iter"
)

// OpenWith opens a store with other migrations than this program's.
func OpenWith(dir string, steps ...func(*DB) error) (*DB, error) {
	var all []migration
	for _, step := range steps {
		all = append(all, step)
	}
	return open(dir, Options{}, all)
}

// Schema is the version the store is at.
func (db *DB) Schema() (int, error) { return db.schema() }

// Between puts f between the store and its engine: every write of the engine
// goes through it, and it calls do to have it done.
func (db *DB) Between(f func(do func() error) error) {
	db.engine = between{db.engine, f}
}

type between struct {
	engine
	f func(do func() error) error
}

func (b between) write(changes []change) error {
	return b.f(func() error { return b.engine.write(changes) })
}

// Waiting is how many Writes wait for their turn.
func (db *DB) Waiting() int {
	db.commits.mu.Lock()
	defer db.commits.mu.Unlock()
	return len(db.commits.waiting)
}

// MappedBytes is how much of this process's memory is pages of files.
func MappedBytes() int64 { return mappedBytes() }

// Forget has the kernel take the pages of the store's files back.
func (db *DB) Forget() { db.engine.(interface{ forget() }).forget() }

// WriteOld writes as version 0 of the schema did.
func (b *Bucket) WriteOld(pairs iter.Seq2[[]byte, []byte]) error {
	w, err := gather(b.table, pairs)
	if err != nil {
		return err
	}
	for i, c := range w.changes {
		if !c.remove {
			w.changes[i].value, _ = unseal(c.key, c.value)
		}
	}
	return b.db.commits.write(w)
}

// AddSums is the step from version 0, which ends with an error after so many of
// its writes.
func AddSums(db *DB, writes int) error {
	cut := errors.New("cut off")
	kept := db.engine
	defer func() { db.engine = kept }()
	db.Between(func(do func() error) error {
		if writes--; writes < 0 {
			return fmt.Errorf("%w: %w", ErrFull, cut)
		}
		return do()
	})
	return addSums(db)
}
