// Package memlog is a replica.Log in memory, for the tests of whoever has a replica.
package memlog

import (
	"bytes"
	"errors"
	"iter"
	"slices"
	"sync"
)

// Log is the test twin of the store's table: ordered, atomic, with the same
// limits. It outlives the Set on it, as a disk does.
type Log struct {
	mu     sync.Mutex
	keys   []string // sorted
	values map[string][]byte
	// failAfter is how many writes still succeed; negative for all.
	failAfter int
}

// New returns an empty one.
func New() *Log {
	return &Log{values: make(map[string][]byte), failAfter: -1}
}

// ErrDisk is what a write fails with that Fail lets fail.
var ErrDisk = errors.New("disk failed")

// Fail lets so many writes succeed; negative for all.
func (l *Log) Fail(after int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failAfter = after
}

// Get implements replica.Log.
func (l *Log) Get(key []byte) ([]byte, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, ok := l.values[string(key)]
	return bytes.Clone(v), ok, nil
}

// Write implements replica.Log.
func (l *Log) Write(pairs iter.Seq2[[]byte, []byte]) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failAfter == 0 {
		return ErrDisk
	}
	l.failAfter = max(l.failAfter-1, -1)
	n, size := 0, 0
	for k, v := range pairs {
		n, size = n+1, size+len(k)+len(v)
	}
	if n > 4096 || size > 1<<20 {
		return errors.New("write is too big")
	}
	for k, v := range pairs {
		at, found := slices.BinarySearch(l.keys, string(k))
		switch {
		case v == nil && found:
			l.keys = slices.Delete(l.keys, at, at+1)
			delete(l.values, string(k))
		case v != nil:
			if !found {
				l.keys = slices.Insert(l.keys, at, string(k))
			}
			l.values[string(k)] = bytes.Clone(v)
		}
	}
	return nil
}

// Len is how many keys there are.
func (l *Log) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.keys)
}

func (l *Log) span(from, to []byte) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lo, _ := slices.BinarySearch(l.keys, string(from))
	hi := len(l.keys)
	if to != nil {
		hi, _ = slices.BinarySearch(l.keys, string(to))
	}
	return slices.Clone(l.keys[lo:max(lo, hi)])
}

// Scan implements replica.Log.
func (l *Log) Scan(from, to []byte) (iter.Seq2[[]byte, []byte], func() error) {
	return l.each(slices.Values(l.span(from, to)))
}

// ScanBack implements replica.Log.
func (l *Log) ScanBack(from, to []byte) (iter.Seq2[[]byte, []byte], func() error) {
	keys := l.span(from, to)
	slices.Reverse(keys)
	return l.each(slices.Values(keys))
}

func (l *Log) each(keys iter.Seq[string]) (iter.Seq2[[]byte, []byte], func() error) {
	return func(yield func([]byte, []byte) bool) {
		for k := range keys {
			if v, ok, _ := l.Get([]byte(k)); ok && !yield([]byte(k), v) {
				return
			}
		}
	}, func() error { return nil }
}
