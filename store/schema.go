package store

import (
	"encoding/binary"
	"fmt"
)

// A migration brings a store from one schema version to the next, through the
// DB's own tables, a bounded Write at a time. It is cut off by crashes and run
// again from its start until it has returned nil once, so it must take what it
// has already changed as it finds it. Changing a table's layout means adding a
// migration, a test over the older layout, and a line in
// docs/decisions/0002-store.md.
type migration func(*DB) error

// migrations has, at index v, the step from version v to v+1. Its length is
// this program's version. Steps are never removed or changed.
//
// Version 0 is a store without a version: one just made, or made before
// versions were kept. It had the tables of version 1, so the first step has
// nothing to rewrite; that a new store begins at 0 and takes every step keeps
// this path in use.
func migrations() []migration {
	return []migration{
		func(*DB) error { return nil },
	}
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
		if err := db.commits.write(&write{changes: []change{note}}); err != nil {
			return fmt.Errorf("store: note schema %d: %w", version+1, err)
		}
	}
	return nil
}

// schema reads the store's version.
func (db *DB) schema() (version int, err error) {
	var b []byte
	var ok bool
	err = db.guard("get", func() error {
		b, ok, err = db.engine.get(schemaKey())
		return err
	})
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
