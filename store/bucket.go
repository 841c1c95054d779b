package store

import "iter"

// Bucket is one table of a DB. It may be used by any number of goroutines.
type Bucket struct {
	db    *DB
	table Table
}

// Get returns the value of key; ok is false where there is none, or where it is
// no longer what was written: that is logged, and a new Write mends it. The
// value is the caller's own. It fails with ErrClosed or ErrDamaged.
func (b *Bucket) Get(key []byte) (value []byte, ok bool, err error) {
	if err := b.db.begin(); err != nil {
		return nil, false, err
	}
	defer b.db.end()
	full := tableKey(b.table, key)
	sealed, ok, err := b.db.raw(full)
	if !ok || err != nil {
		return nil, false, err
	}
	value, ok = b.db.unseal(full, sealed)
	return value, ok, nil
}

// raw reads from the engine as it is there; the value is a copy.
func (db *DB) raw(key []byte) (value []byte, ok bool, err error) {
	err = db.guard("get", func() (err error) {
		value, ok, err = db.engine.get(key)
		db.engine.touch(pageSize)
		return err
	})
	return value, ok, err
}

func (db *DB) unseal(key, sealed []byte) (value []byte, ok bool) {
	value, ok = unseal(key, sealed)
	if !ok {
		db.log.Warn("store left out a damaged value", "table", int(key[0]))
		return nil, false
	}
	return value, true
}

// Scan walks the pairs with from <= key < to in ascending order; a nil to
// means the table's end. It sees the table as it was when the loop began.
// Values that are no longer what was written are left out and logged. The slices
// hold until the next step and must not be written to. The returned function
// says why the last loop ended early: nil, ErrClosed or ErrDamaged.
//
// The loop's body may Get and Scan but must not Write or Close: a loop that
// stays open for long keeps the disk space of what is deleted meanwhile.
func (b *Bucket) Scan(from, to []byte) (iter.Seq2[[]byte, []byte], func() error) {
	return b.scan(tableSpan(b.table, from, to, false))
}

// ScanBack is Scan in descending order, over the same range.
func (b *Bucket) ScanBack(from, to []byte) (iter.Seq2[[]byte, []byte], func() error) {
	return b.scan(tableSpan(b.table, from, to, true))
}

func (b *Bucket) scan(r span) (iter.Seq2[[]byte, []byte], func() error) {
	var failed error
	seq := func(yield func(key, value []byte) bool) { failed = b.db.walk(r, yield) }
	return seq, func() error { return failed }
}

func (db *DB) walk(r span, yield func(key, value []byte) bool) error {
	if err := db.begin(); err != nil {
		return err
	}
	defer db.end()
	return db.rawScan(r, func(key, sealed []byte) bool {
		value, ok := db.unseal(key, sealed)
		return !ok || yield(key[1:], value)
	})
}

// rawScan walks the engine's pairs as they are there. It guards every step by
// itself, so that a panic of yield stays the caller's.
func (db *DB) rawScan(r span, yield func(key, value []byte) bool) error {
	if r.empty() {
		return nil
	}
	var c cursor
	err := db.guard("scan", func() (err error) {
		c, err = db.engine.scan(r)
		return err
	})
	if err != nil {
		return err
	}
	defer db.guard("scan", func() error {
		if db.damaged() == nil {
			c.close()
		}
		return nil
	})
	for {
		var key, value []byte
		var ok bool
		err := db.guard("scan", func() (err error) {
			key, value, ok, err = c.next()
			db.engine.touch(len(key) + len(value))
			return err
		})
		if err != nil || !ok || !yield(key, value) {
			return err
		}
	}
}

// Write puts the pairs, all or none; a nil value deletes its key, an empty one
// is kept. Where a key comes twice, the last one counts. On return the pairs
// are on the disk, safe from a power cut. Writes that run at the same time
// share a sync; a lone one does not wait for company.
//
// pairs is read once, before anything is written, and its slices are copied; it
// may read the store but must not Write.
// Write fails with ErrTooBig or ErrEmptyKey, ErrFull, ErrFailed, ErrClosed or
// ErrDamaged. After ErrFailed it is unknown, until the store is opened again,
// whether this Write is on the disk; in all other cases nothing was written.
func (b *Bucket) Write(pairs iter.Seq2[[]byte, []byte]) error {
	if err := b.db.begin(); err != nil {
		return err
	}
	defer b.db.end()
	b.db.writers <- struct{}{}
	defer func() { <-b.db.writers }()
	w, err := gather(b.table, pairs)
	if err != nil || len(w.changes) == 0 {
		return err
	}
	defer w.forget()
	return b.db.commits.write(w)
}
