package node

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"boucan/record"
	"boucan/replica"
	"boucan/share"
	"boucan/store"
)

const (
	// fileLife is how long a file is offered unless somebody says otherwise.
	fileLife = 90 * 24 * time.Hour
	// renewBefore is how long before its end the record of a file that still
	// lies in the folder is issued anew.
	renewBefore = 30 * 24 * time.Hour
	// renewEvery is how often that is looked at.
	renewEvery = 6 * time.Hour
	// lookEvery is how often the library looks whether the folder has come back,
	// there is room for more wishes, or something failed that may work now.
	lookEvery = 5 * time.Second
	// maxTouched and maxEnded are how many blobs and ended records wait to be
	// acted on. With more, all is looked at.
	maxTouched = 1 << 16
	maxEnded   = 4096
	// publishAtOnce is how many records are signed and published together.
	publishAtOnce = 500
)

// library is the shared files as one thing: the records that offer them and the
// bytes that lie here. It keeps the two in step: a file that appears in the
// folder gets a record, a record that comes gets its bytes fetched, guests that
// no living record names are deleted. Whatever it misses, by a crash or an error,
// it finds at the next look at all, see settle.go.
type library struct {
	key     signer
	clock   *clock
	records *replica.Set
	blobs   *share.Blobs
	names   *catalogue
	guests  guests
	redates redates
	// withheld are the operator's files that a trusted moderator took down.
	withheld *withheld
	drops    *drops
	changed  *broadcast
	log      *slog.Logger
	pins     *pins
	leaving  leaving
	peers    func() []record.Key // connected now
	rules    rules
	ledger   *ledger

	counted chan struct{} // closed when what lies here is in the ledger

	// evicting holds one token while copies are let go of, and guards evictFrom,
	// behind which the search for them goes on.
	evicting  chan struct{}
	evictFrom moment

	// offering holds one token while it is looked up whether a file is offered,
	// and offered.
	offering chan struct{}
	// ready holds one token when there is something to act on.
	ready chan struct{}

	mu      sync.Mutex              // guards what follows
	lying   map[record.CID]struct{} // see lieHere
	touched map[record.CID]struct{}
	ended   []endedOffer
	over    bool // more was touched than is kept
}

// endedOffer is what a record said by which this node's operator offered a file
// until its life was over.
type endedOffer struct {
	created int64 // Unix milliseconds
	file    record.File
}

func newLibrary(n *Node) (*library, error) {
	withheld, err := openWithheld(n.db.Table(store.Node))
	if err != nil {
		return nil, err
	}
	rules, err := n.config.Policy.rules()
	if err != nil {
		return nil, err
	}
	pins, err := openPins(n.db.Table(store.Node))
	if err != nil {
		return nil, err
	}
	return &library{
		key: n.key, clock: n.clock, records: n.records, names: newCatalogue(n.key.Key()),
		guests: guests{n.db.Table(store.Node)}, withheld: withheld, redates: redates{n.db.Table(store.Node)}, drops: newDrops(), changed: n.changed, log: n.log,
		rules: rules, ledger: newLedger(n.config.Policy), pins: pins, leaving: leaving{n.db.Table(store.Node)},
		peers: streams{n.host, blobProtocol}.Peers, evicting: make(chan struct{}, 1), counted: make(chan struct{}),
		offering: make(chan struct{}, 1), ready: make(chan struct{}, 1), lying: make(map[record.CID]struct{}), touched: make(map[record.CID]struct{}),
	}, nil
}

// take hears of changes of the record set. It enters them into the catalogue at
// once and leaves what touches the disk to run.
func (l *library) take(added, removed []*record.Record) {
	now := l.clock.Now().UnixMilli()
	var touched []record.CID
	var ended []endedOffer
	files := false
	for _, r := range added {
		if f, err := fileOf(r); err == nil {
			files = true
			l.names.add(r, f)
			if r.Author == l.key.Key() && fromFolder(f) && l.liesSurely(f.CID) {
				l.ledger.forget(f.CID) // it is not kept for others, and needs no fetching
			} else {
				touched = append(touched, f.CID)
			}
		}
	}
	for _, r := range removed {
		f, err := fileOf(r)
		if err != nil {
			continue
		}
		files = true
		l.names.remove(r.ID())
		touched = append(touched, f.CID)
		switch {
		case r.Author != l.key.Key() || !fromFolder(f):
		case r.Expires <= now:
			ended = append(ended, endedOffer{r.Created, f})
		default:
			l.withhold(r.ID(), f.CID)
		}
	}
	if len(touched) > 0 {
		l.touch(touched, ended)
	}
	if files {
		l.changed.tell()
	}
}

// lieHere says of blobs that they lie here, until the function returned is
// called. Who calls it holds the token of offering.
func (l *library) lieHere(cids []record.CID) (over func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, cid := range cids {
		l.lying[cid] = struct{}{}
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		clear(l.lying)
	}
}

// liesSurely reports whether lieHere was called for a blob.
func (l *library) liesSurely(cid record.CID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.lying[cid]
	return ok
}

// description is what the oldest record of a row says of the file. The catalogue
// keeps it only as it is searched.
func (l *library) description(r *row) string {
	if r.about == "" {
		return ""
	}
	rec, ok, err := l.records.Get(r.id)
	if err != nil || !ok {
		return ""
	}
	said, err := rec.File()
	if err != nil {
		return ""
	}
	return said.Description
}

// fileOf reads a record that may be of any kind.
func fileOf(r *record.Record) (record.File, error) {
	if r.Kind != record.KindFile {
		return record.File{}, record.ErrBody
	}
	return r.File()
}

// touch has run look at blobs and at records that ended.
func (l *library) touch(cids []record.CID, ended []endedOffer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, cid := range cids {
		l.touched[cid] = struct{}{}
	}
	l.ended = append(l.ended, ended...)
	if len(l.touched) > maxTouched || len(l.ended) > maxEnded {
		l.over, l.ended = true, nil
		clear(l.touched)
	}
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// takeTouched returns what was touched since the last call; over says that it
// was too much to keep.
func (l *library) takeTouched() (cids []record.CID, ended []endedOffer, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	cids = make([]record.CID, 0, len(l.touched))
	for cid := range l.touched {
		cids = append(cids, cid)
	}
	ended, over = l.ended, l.over
	l.touched, l.ended, l.over = make(map[record.CID]struct{}), nil, false
	return cids, ended, over
}

// run acts on what changes until ctx ends.
func (l *library) run(ctx context.Context) error {
	look, renew := time.NewTicker(lookEvery), time.NewTicker(renewEvery)
	defer look.Stop()
	defer renew.Stop()
	var trimming sync.WaitGroup
	trimming.Go(func() { l.trim(ctx) })
	trimming.Go(func() { l.sweepUploads(ctx) })
	defer trimming.Wait()
	k := keeper{library: l, all: true, renew: true}
	k.look(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.ready:
			k.act(ctx)
		case <-renew.C:
			k.all, k.renew = true, true
		case <-look.C:
			k.look(ctx)
		}
	}
}

// fromFolder reports whether an operator shares the file, from the folder or by
// the command line: such files say when they were modified, drops do not.
func fromFolder(f record.File) bool { return f.Modified != 0 }

// sharedAt is a modification time as the record of a file that an operator
// shares carries it. It is never 0, by which fromFolder knows a drop.
func sharedAt(t time.Time) uint64 {
	return uint64(min(max(t.UnixMilli(), 1), record.MaxTime))
}

// broadcast wakes whoever waits for the next change.
type broadcast struct {
	mu   sync.Mutex
	next chan struct{}
}

func newBroadcast() *broadcast { return &broadcast{next: make(chan struct{})} }

// tell wakes every waiter.
func (b *broadcast) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.next)
	b.next = make(chan struct{})
}

// wait returns a channel that is closed at the next tell.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.next
}
