package replica

import "time"

// Limits of the set, beside those that Limits lets a node choose.
const (
	// MaxPage is the most records that one query returns.
	MaxPage = 4096
	// MaxRooms is the most rooms that Rooms returns.
	MaxRooms = 1000
	// MaxBlocks is the most authors and CIDs that may be blocked together.
	MaxBlocks = 10_000
	// MaxWaiting, MaxWaitingBytes and MaxWaitingAuthor bound the records dated
	// ahead that wait in memory: how many, their encoded bytes, how many of one
	// author.
	MaxWaiting       = 1024
	MaxWaitingBytes  = 1 << 20
	MaxWaitingAuthor = 64
	// MaxAhead is how far ahead of this node's clock a record may be created and
	// still be waited for. What lies beyond is refused.
	MaxAhead = 24 * time.Hour
	// MaxPush is the most records of one Publish that are pushed one by one. What
	// is more is left to the Syncer.
	MaxPush = 64

	maxWritePairs = 4096    // of one Log.Write
	maxWriteBytes = 1 << 20 // keys and values of one Log.Write
	maxCards      = 4096    // node cards kept decoded in memory
	sweepPage     = 512     // records removed in one turn
	lookPage      = 8192    // index entries looked at in one turn
)

// Limits is how much the set may hold. A zero field takes its default.
type Limits struct {
	Records         int   // living records; default 1,000,000. Each costs about 50 bytes of memory
	Bytes           int64 // encoded sizes of all but takedowns, added up; default 1 GiB
	AuthorRecords   int   // records of one author but for takedowns; default 200,000
	AuthorBytes     int64 // their encoded sizes added up; default 256 MiB
	AuthorTakedowns int   // takedowns of one author; default 50,000
}

func (l Limits) orDefaults() Limits {
	if l.Records == 0 {
		l.Records = 1_000_000
	}
	if l.Bytes == 0 {
		l.Bytes = 1 << 30
	}
	if l.AuthorRecords == 0 {
		l.AuthorRecords = 200_000
	}
	if l.AuthorBytes == 0 {
		l.AuthorBytes = 256 << 20
	}
	if l.AuthorTakedowns == 0 {
		l.AuthorTakedowns = 50_000
	}
	return l
}

// takedownRoom is how many records a full set still takes for takedowns, so that
// a full set can be emptied.
func (l Limits) takedownRoom() int { return max(1, l.Records/4) }

const maxMessage = 65000
