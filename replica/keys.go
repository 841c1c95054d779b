package replica

import (
	"encoding/binary"
	"math"

	"boucan/record"
)

// The keys of the table. Numbers are big-endian, so that keys sort as they do.
// A record stands under prefixRecord; all other keys of it are made from the record
// alone and are written and deleted with it.
//
//	r id                      → the encoded record
//	k kind created id         → entry: expires, size, author. Every record has one
//	e expires created id      → kind
//	f cid created id          → expires               of file records
//	m room 0 created id       → expires               of messages
//	c author created id       → expires               of node cards
//	t target id               → claim: state, expires, author, undo   of takedowns
//	b what                    → 1, or 2 once it is done   what is blocked here
const (
	prefixRecord   = 'r'
	prefixKind     = 'k'
	prefixExpiry   = 'e'
	prefixCID      = 'f'
	prefixRoom     = 'm'
	prefixCard     = 'c'
	prefixTakedown = 't'
	prefixBlock    = 'b'
)

const (
	stampSize = 8 + len(record.ID{}) // created and id at the end of an index key
	entrySize = 8 + 4 + len(record.Key{})
	claimSize = 1 + 8 + len(record.Key{})
)

// Keys of the block list: a letter for what is blocked, then its name.
const (
	blockAuthor     = 'a'
	blockCID        = 'c'
	blockName       = 'n'
	blockAuthorSize = 2 + len(record.Key{})
	blockCIDSize    = 2 + len(record.CID{})
)

func blockAuthorKey(k record.Key) []byte { return append([]byte{prefixBlock, blockAuthor}, k[:]...) }

func blockCIDKey(c record.CID) []byte { return append([]byte{prefixBlock, blockCID}, c[:]...) }

func blockNameKey(pattern string) []byte { return append([]byte{prefixBlock, blockName}, pattern...) }

// The values of the block list. A block is done when what it names is not here any
// more, and nothing that comes is let in.
const (
	blockBegun = 1
	blockDone  = 2
)

// Cursor is a place in the order of time, between records. The zero Cursor lies
// after the newest.
type Cursor struct {
	Created int64 // Unix milliseconds
	ID      record.ID
}

// CursorOf is the cursor from which a query goes on to what is older than r.
func CursorOf(r *record.Record) Cursor { return Cursor{Created: r.Created, ID: r.ID()} }

func recordKey(id record.ID) []byte { return append([]byte{prefixRecord}, id[:]...) }

func uint64Key(prefix byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefix}, n)
}

func kindPrefix(k record.Kind) []byte { return uint64Key(prefixKind, uint64(k)) }

// kindOf reads the kind of a key under prefixKind.
func kindOf(key []byte) record.Kind { return record.Kind(binary.BigEndian.Uint64(key[1:])) }

func expiryKey(expires int64, it item) []byte {
	return stamped(uint64Key(prefixExpiry, uint64(expires)), int64(it.created), it.id)
}

func cidPrefix(c record.CID) []byte { return append([]byte{prefixCID}, c[:]...) }

// roomPrefix ends in a byte that no room's name contains.
func roomPrefix(room string) []byte { return append(append([]byte{prefixRoom}, room...), 0) }

func cardPrefix(author record.Key) []byte { return append([]byte{prefixCard}, author[:]...) }

func takedownPrefix(target record.ID) []byte { return append([]byte{prefixTakedown}, target[:]...) }

// stamped appends created and id to an index prefix.
func stamped(prefix []byte, created int64, id record.ID) []byte {
	return append(binary.BigEndian.AppendUint64(prefix, uint64(created)), id[:]...)
}

// stampOf reads what stamped appended.
func stampOf(key []byte) (item, bool) {
	if len(key) < 1+stampSize {
		return item{}, false
	}
	tail := key[len(key)-stampSize:]
	return item{created: binary.BigEndian.Uint64(tail), id: record.ID(tail[8:])}, true
}

// upTo is the end of the keys that begin with prefix and lie before the cursor.
func upTo(prefix []byte, before Cursor) []byte {
	if before == (Cursor{}) {
		return successor(prefix)
	}
	return stamped(append([]byte(nil), prefix...), before.Created, before.ID)
}

// successor is the least key after all that begin with prefix, which must not be
// all ones.
func successor(prefix []byte) []byte {
	next := append([]byte(nil), prefix...)
	for i := len(next) - 1; i >= 0; i-- {
		if next[i] < math.MaxUint8 {
			next[i]++
			return next[:i+1]
		}
	}
	return nil
}

func expiresValue(r *record.Record) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(r.Expires))
}

func expiresOf(value []byte) int64 {
	if len(value) < 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(value))
}

// entry is what the kind index says of a record.
type entry struct {
	expires int64 // Unix milliseconds
	size    int   // encoded, in bytes
	author  record.Key
}

func entryValue(r *record.Record) []byte {
	b := expiresValue(r)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Encode())))
	return append(b, r.Author[:]...)
}

func entryOf(value []byte) (entry, bool) {
	if len(value) != entrySize {
		return entry{}, false
	}
	return entry{
		expires: expiresOf(value),
		size:    int(binary.BigEndian.Uint32(value[8:])),
		author:  record.Key(value[12:]),
	}, true
}

// claimState says whether a takedown hides its target here, and why.
type claimState byte

const (
	claimCounted claimState = iota // it waits for its target, or does not hold
	claimHolds                     // the target's author signed it or the undo secret was shown
	claimTrusted                   // this node trusts who signed it
)

// claim is what the takedown index says of a takedown.
type claim struct {
	state   claimState
	expires int64 // Unix milliseconds
	author  record.Key
	undo    []byte // empty, or UndoHash of the secret that it reveals
}

func claimKey(target, takedown record.ID) []byte {
	return append(takedownPrefix(target), takedown[:]...)
}

func (c claim) value() []byte {
	b := binary.BigEndian.AppendUint64([]byte{byte(c.state)}, uint64(c.expires))
	b = append(b, c.author[:]...)
	return append(b, c.undo...)
}

func claimOf(value []byte) (claim, bool) {
	if len(value) < claimSize {
		return claim{}, false
	}
	return claim{
		state:   claimState(value[0]),
		expires: expiresOf(value[1:]),
		author:  record.Key(value[9:]),
		undo:    append([]byte(nil), value[claimSize:]...),
	}, true
}
