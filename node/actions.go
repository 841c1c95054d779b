package node

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"sync"

	"boucan/control"
	"boucan/store"
)

// actions is the operator's log, which visitors can read: power is visible. It says
// what was done, to what and on which day; it says nothing of visitors, nor the
// names of what was removed, which may be what had to go. Safe for concurrent use.
type actions struct {
	table *store.Bucket

	mu   sync.Mutex // guards what follows, and orders writes
	all  []control.Action
	next uint64 // number of the next
}

const (
	// actionPrefix precedes a number in the table; the value is JSON.
	actionPrefix = "action/"
	// maxActions is how many are kept; the oldest go first.
	maxActions = 1000
	// actionDay is how a day is written.
	actionDay = "2006-01-02"
)

func actionKey(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte(actionPrefix), n) }

func openActions(table *store.Bucket) (*actions, error) {
	a := &actions{table: table}
	err := eachBelow(table, actionPrefix, func(rest, value []byte) {
		var one control.Action
		if len(rest) == 8 && json.Unmarshal(value, &one) == nil {
			a.all = append(a.all, one)
			a.next = binary.BigEndian.Uint64(rest) + 1
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read the operator's actions: %w", err)
	}
	a.all = a.all[max(0, len(a.all)-maxActions):]
	return a, nil
}

// add writes one down. It is on disk on return.
func (a *actions) add(one control.Action) error {
	value, err := json.Marshal(one)
	if err != nil {
		return fmt.Errorf("write the operator's actions: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.table.Write(a.pairs(value)); err != nil {
		return fmt.Errorf("write the operator's actions: %w", err)
	}
	a.all = append(a.all, one)
	a.all = a.all[max(0, len(a.all)-maxActions):]
	a.next++
	return nil
}

// pairs are the new entry, and the deletion of one that is too old.
func (a *actions) pairs(value []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		if yield(actionKey(a.next), value) && a.next >= maxActions {
			yield(actionKey(a.next-maxActions), nil)
		}
	}
}

// list is a copy, newest first.
func (a *actions) list() []control.Action {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := slices.Clone(a.all)
	slices.Reverse(all)
	return all
}
