package node

import (
	"errors"
	"fmt"
	"iter"
	"sync"

	"boucan/record"
	"boucan/store"
)

// trust is the keys whose takedowns hold here for every record: this node's own,
// and those its operator trusts to moderate. Safe for concurrent use.
type trust struct {
	table *store.Bucket
	self  record.Key

	mu    sync.RWMutex // guards names, and orders changes of both
	names map[record.Key]string
}

const (
	// trustPrefix precedes a key in the table; the value is what the operator
	// calls whoever holds it.
	trustPrefix = "trust/"
	// maxTrusted is how many keys may be trusted.
	maxTrusted = 256
)

// errManyTrusted refuses one more.
var errManyTrusted = errors.New("256 keys are trusted already: take one away with \"boucan untrust\" first")

func openTrust(table *store.Bucket, self record.Key) (*trust, error) {
	t := &trust{table: table, self: self, names: make(map[record.Key]string)}
	err := eachBelow(table, trustPrefix, func(rest, value []byte) {
		if len(rest) == len(record.Key{}) {
			t.names[record.Key(rest)] = string(value)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read whom this box trusts: %w", err)
	}
	return t, nil
}

// holds is replica.Options.Trusted.
func (t *trust) holds(k record.Key) bool {
	if k == t.self {
		return true
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	_, ok := t.names[k]
	return ok
}

// add trusts a key and returns when that is on disk.
func (t *trust) add(k record.Key, name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.names[k]; !known && len(t.names) >= maxTrusted {
		return errManyTrusted
	}
	if err := writeOne(t.table, append([]byte(trustPrefix), k[:]...), []byte(name)); err != nil {
		return fmt.Errorf("note whom this box trusts: %w", err)
	}
	t.names[k] = name
	return nil
}

// drop ends it, and reports whether the key was trusted.
func (t *trust) drop(k record.Key) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.names[k]; !known {
		return false, nil
	}
	if err := writeOne(t.table, append([]byte(trustPrefix), k[:]...), nil); err != nil {
		return false, fmt.Errorf("note whom this box trusts: %w", err)
	}
	delete(t.names, k)
	return true, nil
}

// all is a copy of the keys and what the operator calls them.
func (t *trust) all() map[record.Key]string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make(map[record.Key]string, len(t.names))
	for k, name := range t.names {
		all[k] = name
	}
	return all
}

// eachBelow calls f for every key of a table that begins with prefix, with what
// follows it and the value, which are valid until f returns.
func eachBelow(table *store.Bucket, prefix string, f func(rest, value []byte)) error {
	to := []byte(prefix)
	to[len(to)-1]++
	entries, failed := table.Scan([]byte(prefix), to)
	for key, value := range entries {
		f(key[len(prefix):], value)
	}
	return failed()
}

// writeOne writes one pair, or with a nil value deletes it.
func writeOne(table *store.Bucket, key, value []byte) error {
	return table.Write(onePair(key, value))
}

func onePair(key, value []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) { yield(key, value) }
}
