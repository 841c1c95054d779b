package replica

import "time"

// Limits of the set, beside those that Limits lets a node choose.
const (
	// MaxPage is the most records that one query returns.
	MaxPage = 4096
	// MaxRooms is the most rooms that Rooms returns.
	MaxRooms = 1000
	// MaxBlocks is the most authors, CIDs and name patterns that may be blocked
	// together.
	MaxBlocks = 10_000
	// MaxBlockedNames is the most name patterns among them: each new name is held
	// against every one. MaxPattern is the longest, in bytes.
	MaxBlockedNames = 256
	MaxPattern      = 256
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

	maxUndoable   = 16      // records that one secret takes down
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

// Limits of the sync protocol, part of the wire format (spec/sync.md, section 3).
const (
	// MaxFrame is the longest frame, in bytes: type and payload, without the
	// length before them.
	MaxFrame = 64 << 10
	// MaxHello is the longest payload of a hello, in bytes: a card and room for
	// what later versions may say.
	MaxHello = 20 << 10
	// MaxWant is the most records asked for in one frame.
	MaxWant = (MaxFrame - 1) / idSize
	// MaxOpenWants is the most frames that ask for records and have not been
	// answered.
	MaxOpenWants = 8

	maxMessage = MaxFrame - 1 // of a reconcile message, in bytes
)

// Limits of one session, this program's own.
const (
	// maxRounds is how often a peer may ask for a comparison in one session. A
	// million records take about 500.
	maxRounds = 4096
	// maxInvalid is how many records no honest peer can have sent end a session.
	maxInvalid = 8
	// maxUseless is how many records more than the set holds may come and not be
	// taken in, and how many more than it holds may be asked for.
	maxUseless = 16 << 10
	// maxAhead is how many records dated ahead end a session: one of the two clocks
	// is wrong, and until it is set there is little to gain.
	maxAhead = 1024
	// maxRuns is how many runs of records to send may wait before the next
	// comparison.
	maxRuns = 4096
	// intakeFrames is how many frames of records wait to be written.
	intakeFrames = 8
	// intakeBytes is about how many bytes of records are written together.
	intakeBytes = 512 << 10

	// stall is how long one frame may take to arrive or to leave.
	stall = time.Minute
	// paceBytes is the least that must go either way in paceTime: a session that
	// trickles takes a place from others.
	paceBytes = 16 << 10
	paceTime  = 2 * time.Minute
	// longestSession ends a session that goes on for ever.
	longestSession = time.Hour
)

// Limits and times of the Syncer.
const (
	maxStarted  = 4    // sessions that this node began
	maxPartners = 8    // peers compared with after a push, and in one interval
	maxServed   = 4    // sessions that peers began
	maxRefused  = 8192 // ids of refused records kept in mind
	maxBans     = 1024 // banned peers kept in mind while not connected
	maxMissing  = 2048 // ids that one peer named and did not deliver
	openTimeout = 30 * time.Second
	busyTimeout = 2 * time.Second

	banTime      = 10 * time.Minute
	leastBackoff = time.Second
	mostBackoff  = 5 * time.Minute
	otherBegins  = 3 * time.Second        // how long the greater key waits for the lesser
	spreadSoon   = 200 * time.Millisecond // from news to the next session
	spreadPushed = 5 * time.Second        // the same where it was pushed too
	// freshFor is how long a peer counts as just connected. Its gossip may not have
	// joined yet, so what was pushed to it is compared after spreadFresh.
	freshFor      = 5 * time.Second
	spreadFresh   = time.Second
	missingAgain  = 10 * time.Minute // until a peer is asked again for what it did not deliver
	usualInterval = 3 * time.Minute
)
