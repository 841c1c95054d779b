package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// A migration brings a store from one schema version to the next, through the
// DB's tables, a bounded Write at a time. It is cut off by crashes and run
// again from its start until it has returned nil once, so it must take what it
// has already changed as it finds it. Changing a table's layout means adding a
// migration, a test over the older layout, and a line in
// docs/decisions/0002-store.md.
type migration func(*DB) error

// migrations has, at index v, the step from version v to v+1. Its length is
// this program's version. Steps are never removed or changed.
//
// Version 0 is a store without a version, as every new one is at first: it
// takes all steps, and so keeps them in use.
func migrations() []migration {
	return []migration{addSums}
}

func schemaKey() []byte { return tableKey(meta, []byte("schema")) }

// migrate takes the steps from the store's version to the newest, noting each
// as soon as it is done.
func (db *DB) migrate(steps []migration) error {
	version, err := db.schema()
	if err != nil {
		return err
	}
	if version > len(steps) {
		return fmt.Errorf("%w: schema %d, this one knows %d", ErrNewer, version, len(steps))
	}
	for ; version < len(steps); version++ {
		if err := steps[version](db); err != nil {
			return fmt.Errorf("store: migrate from schema %d: %w", version, err)
		}
		note := change{key: schemaKey(), value: binary.BigEndian.AppendUint32(nil, uint32(version+1))}
		progress := change{key: progressKey(), remove: true}
		if err := db.commits.write(&write{changes: []change{note, progress}}); err != nil {
			return fmt.Errorf("store: note schema %d: %w", version+1, err)
		}
	}
	return nil
}

// schema reads the store's version.
func (db *DB) schema() (version int, err error) {
	b, ok, err := db.raw(schemaKey())
	switch {
	case err != nil:
		return 0, err
	case !ok:
		return 0, nil
	case len(b) != 4 || binary.BigEndian.Uint32(b) > 1<<30:
		return 0, fmt.Errorf("%w: schema version", ErrDamaged)
	}
	return int(binary.BigEndian.Uint32(b)), nil
}

// progressKey is where a step may note how far it is, in the same write as what
// it has done. The note goes with the noting of the next version.
func progressKey() []byte { return tableKey(meta, []byte("progress")) }

// addSums is the step from version 0, whose values had no checksums.
func addSums(db *DB) error {
	from, ok, err := db.raw(progressKey())
	if err != nil {
		return err
	}
	if !ok {
		from = tableKey(meta+1, nil)
	}
	for table := Table(from[0]); table <= last; table++ {
		for from != nil {
			if from, err = addSomeSums(db, tableSpan(table, from[1:], nil, false)); err != nil {
				return err
			}
		}
		from = tableKey(table+1, nil)
	}
	return nil
}

// addSomeSums seals the first values of the range and returns where to go on,
// nil at the end.
func addSomeSums(db *DB, r span) (next []byte, err error) {
	const pairs, size = 500, MaxWrite / 2
	w := &write{}
	err = db.rawScan(r, func(key, value []byte) bool {
		key = bytes.Clone(key)
		sealed := seal(bytes.Clone(value), key, value)
		w.changes = append(w.changes, change{key: key, value: sealed})
		w.size += len(key) + len(sealed)
		return len(w.changes) < pairs && w.size < size
	})
	if err != nil || len(w.changes) == 0 {
		return nil, err
	}
	next = append(bytes.Clone(w.changes[len(w.changes)-1].key), 0) // the next key there can be
	w.changes = append(w.changes, change{key: progressKey(), value: next})
	return next, db.commits.write(w)
}
