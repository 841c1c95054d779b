package replica_test

import (
	"bytes"
	"crypto/sha256"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"boucan/record"
	"boucan/replica"
	"boucan/store"
)

// clockError is the most that a box's clock is wrong, apart from 1970.
const clockError = 12 * time.Minute

// model is the boxes and what the test knows of them.
type model struct {
	t       *testing.T
	rng     *rand.Rand
	w       *network
	boxes   []*modelBox
	records map[record.ID]*modelRecord
	order   []*modelRecord // as they were made
	all     []*record.Record
	// takedowns is every one ever signed, by target.
	takedowns map[record.ID][]*modelTakedown
}

// modelBox is one box and what its operator wants.
type modelBox struct {
	n    int
	node *node
	dir  string // of its store; empty where its disk is a memlog.Log
	db   *store.DB
	skew atomic.Int64 // of its clock, in nanoseconds
	// latest is what the clock said at the latest, in Unix milliseconds.
	latest int64

	mu      sync.Mutex
	trusted map[record.Key]bool

	authors map[int]bool
	cids    map[record.CID]bool
	names   map[string]bool
}

// modelRecord is something that was published.
type modelRecord struct {
	r      *record.Record
	author int
	secret []byte
	acked  bool // its author was told that it is saved
	gone   bool // and lost it since, for a good reason
}

type modelTakedown struct {
	r      *record.Record
	target record.ID
	secret []byte
	at     map[int]bool // boxes that said they have it
}

func newModel(t *testing.T, seed uint64, dir string) *model {
	m := &model{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), records: make(map[record.ID]*modelRecord),
		takedowns: make(map[record.ID][]*modelTakedown),
	}
	m.w = newNetwork(t, 3+m.rng.IntN(6))
	for i, n := range m.w.nodes {
		b := &modelBox{
			n: i, node: n, trusted: map[record.Key]bool{public(i): true},
			authors: make(map[int]bool), cids: make(map[record.CID]bool), names: make(map[string]bool),
		}
		if i == 0 && seed%4 == 0 { // one on the real store
			b.dir = filepath.Join(dir, strconv.Itoa(i))
		}
		n.options = replica.Options{Now: b.now, Trusted: b.trusts, Listener: newJournal(t)}
		n.sync.Interval = 10 * time.Minute
		m.boxes = append(m.boxes, b)
		m.on(b)
	}
	m.changeLinks()
	return m
}

func (b *modelBox) on() bool                { return b.node.stop != nil }
func (b *modelBox) set() *replica.Set       { return b.node.set }
func (b *modelBox) syncer() *replica.Syncer { return b.node.syncer }

// now is the box's clock.
func (b *modelBox) now() time.Time { return time.Now().Add(time.Duration(b.skew.Load())) }

func (b *modelBox) trusts(k record.Key) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.trusted[k]
}

func (b *modelBox) setTrust(k record.Key, yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trusted[k] = yes || k == public(b.n)
}

func (b *modelBox) holds(x *modelRecord) bool {
	_, ok, err := b.set().Get(x.r.ID())
	return ok && err == nil
}

// living is by the true time.
func (x *modelRecord) living() bool { return x.r.Expires > time.Now().UnixMilli() }

// on switches a box on, and lays links to some others.
func (m *model) on(b *modelBox) {
	if b.dir != "" {
		db, err := store.Open(b.dir, store.Options{})
		m.must(err)
		b.db, b.node.log = db, db.Table(store.Records)
	}
	b.node.start()
	for _, other := range m.boxes {
		if other != b && other.on() && m.rng.IntN(2) == 0 {
			m.w.connect(b.n, other.n)
		}
	}
}

func (m *model) off(b *modelBox) {
	for i := range m.boxes {
		if i != b.n {
			m.w.cut(b.n, i)
		}
	}
	b.node.halt()
	if b.db != nil {
		m.must(b.db.Close())
	}
}

// close switches everything off for good.
func (m *model) close() {
	for _, b := range m.boxes {
		if b.on() {
			m.off(b)
		}
	}
}

func (m *model) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// flip turns an entry on or off and reports which.
func flip[K comparable](m map[K]bool, k K) bool {
	if m[k] {
		delete(m, k)
		return false
	}
	m[k] = true
	return true
}

// made signs a record as a box.
func (m *model) made(b *modelBox, d record.Draft, secret []byte) *record.Record {
	r := signDraft(m.t, b.n, d)
	if _, ok := m.records[r.ID()]; !ok {
		x := &modelRecord{r: r, author: b.n, secret: secret}
		m.records[r.ID()] = x
		m.order = append(m.order, x)
		m.all = append(m.all, r)
	}
	return r
}

// takedown signs one of x as a box; it ends so much before its target.
func (m *model) takedown(b *modelBox, x *modelRecord, secret []byte, short time.Duration) *record.Record {
	created := time.UnixMilli(max(b.now().UnixMilli(), x.r.Created))
	r := signDraft(m.t, b.n, record.Draft{
		Created: created, Expires: time.UnixMilli(max(x.r.Expires-short.Milliseconds(), created.UnixMilli()+1)),
		Body: record.Takedown{Target: x.r.ID(), Secret: secret},
	})
	for _, known := range m.takedowns[x.r.ID()] {
		if known.r.ID() == r.ID() {
			return known.r
		}
	}
	m.takedowns[x.r.ID()] = append(m.takedowns[x.r.ID()], &modelTakedown{r: r, target: x.r.ID(), secret: secret, at: make(map[int]bool)})
	m.all = append(m.all, r)
	return r
}

// publish has a box publish what it made, and notes what it says is saved. A disk
// that fails may have kept some.
func (m *model) publish(b *modelBox, recs ...*record.Record) {
	if b.set().Publish(m.t.Context(), recs...) != nil {
		return
	}
	for _, r := range recs {
		m.ack(b, r)
	}
}

// bring gives a box a record as a peer does.
func (m *model) bring(b *modelBox, r *record.Record) {
	if added, err := b.set().Receive(m.t.Context(), r.Encode()); added && err == nil {
		m.ack(b, r)
	}
}

func (m *model) ack(b *modelBox, r *record.Record) {
	if x := m.records[r.ID()]; x != nil {
		x.acked = x.acked || x.author == b.n
		return
	}
	for _, list := range m.takedowns {
		for _, down := range list {
			if down.r.ID() == r.ID() {
				down.at[b.n] = true
			}
		}
	}
}

// pick chooses one of what was made that will do, nil if there is none.
func (m *model) pick(will func(*modelRecord) bool) *modelRecord {
	var good []*modelRecord
	for _, x := range m.order {
		if will(x) {
			good = append(good, x)
		}
	}
	if len(good) == 0 {
		return nil
	}
	return good[m.rng.IntN(len(good))]
}

// shown is what a box shows and keeps, by kind.
func (m *model) shown(b *modelBox) (records, takedowns map[record.ID]bool) {
	records, takedowns = make(map[record.ID]bool), make(map[record.ID]bool)
	for kind, to := range map[record.Kind]map[record.ID]bool{
		record.KindFile: records, record.KindMessage: records, record.KindTakedown: takedowns,
	} {
		for _, r := range newest(m.t, b.set(), kind) {
			to[r.ID()] = true
		}
	}
	return records, takedowns
}

// hides says in the words of the specification (spec/records.md, section 6) whether a
// takedown hides a record from those who trust so.
func (d *modelTakedown) hides(x *modelRecord, trusted func(record.Key) bool) bool {
	if d.target != x.r.ID() || d.r.Expires < x.r.Expires {
		return false
	}
	hash := sha256.Sum256(d.secret)
	return d.r.Author == x.r.Author || trusted(d.r.Author) || len(d.secret) > 0 && bytes.Equal(hash[:], x.r.Undo)
}

// blocked says whether the box's operator blocks a record.
func (b *modelBox) blocked(x *modelRecord) bool {
	if b.authors[x.author] {
		return true
	}
	f, err := x.r.File()
	if err != nil {
		return false
	}
	name := strings.ToLower(f.Name)
	return b.cids[f.CID] || b.names["*.exe"] && strings.HasSuffix(name, ".exe") ||
		b.names["secret*"] && strings.HasPrefix(name, "secret") || b.names["?.TXT"] && (name == "b.txt" || name == "d.txt")
}

// check holds every box that is on against the model, whatever state the mesh is in.
func (m *model) check() {
	m.t.Helper()
	for _, b := range m.boxes {
		if !b.on() {
			continue
		}
		records, takedowns := m.shown(b)
		hidden := func(x *modelRecord) bool {
			for _, d := range m.takedowns[x.r.ID()] {
				if takedowns[d.r.ID()] && d.hides(x, b.trusts) {
					return true
				}
			}
			return false
		}
		for id := range records {
			switch x := m.records[id]; {
			case b.blocked(x):
				m.t.Errorf("box %d shows what it blocks", b.n)
			case hidden(x):
				m.t.Errorf("box %d shows record %.8s, for which it has a takedown that holds", b.n, id)
			}
		}
		now := b.now().UnixMilli()
		b.latest = max(b.latest, now)
		for _, x := range m.order {
			if x.author != b.n || !x.acked || x.gone || records[x.r.ID()] {
				continue
			}
			if x.gone = x.r.Expires <= now || b.blocked(x) || hidden(x); !x.gone {
				m.t.Errorf("box %d lost record %.8s, which it had said was saved", b.n, x.r.ID())
			}
		}
		for _, list := range m.takedowns {
			for _, d := range list {
				if d.at[b.n] && d.r.Expires > b.latest && !takedowns[d.r.ID()] {
					m.t.Errorf("box %d forgot a takedown before its time", b.n)
				}
			}
		}
	}
}

// heal switches everything on, sets the clocks about right, connects all and waits
// until there is nothing left to do.
func (m *model) heal() {
	for _, b := range m.boxes {
		if b.skew.Load() < -int64(clockError) {
			b.skew.Store(m.rng.Int64N(int64(2*clockError)) - int64(clockError))
		}
		if !b.on() {
			m.on(b)
		}
	}
	for i := range m.boxes { // each with each: what a box hides it does not pass on
		for j := range i {
			m.w.connect(i, j)
		}
	}
	pass(55 * time.Minute) // less than what was refused once is left alone
}

// checkAlike holds the healed mesh against the model: every box has every takedown,
// and shows all that any box shows but what it hides or blocks itself.
func (m *model) checkAlike() {
	m.t.Helper()
	const edge = int64(2 * clockError / time.Millisecond)
	now := time.Now().UnixMilli()
	far := func(r *record.Record) bool { return r.Expires > now+edge } // on no box about to expire
	anywhere, takedowns := make(map[record.ID]bool), make(map[record.ID]bool)
	var shown, kept []map[record.ID]bool
	for _, b := range m.boxes {
		r, d := m.shown(b)
		shown, kept = append(shown, r), append(kept, d)
		maps.Copy(anywhere, r)
		maps.Copy(takedowns, d)
	}
	for _, list := range m.takedowns {
		for _, d := range list {
			takedowns[d.r.ID()] = takedowns[d.r.ID()] || len(d.at) > 0
			for i := range m.boxes {
				if takedowns[d.r.ID()] && far(d.r) && !kept[i][d.r.ID()] {
					m.t.Errorf("box %d has not heard of a takedown", i)
				}
			}
		}
	}
	hidden := func(b *modelBox, x *modelRecord) bool {
		for _, d := range m.takedowns[x.r.ID()] {
			if takedowns[d.r.ID()] && d.hides(x, b.trusts) {
				return true
			}
		}
		return false
	}
	for _, b := range m.boxes {
		if heard := b.node.options.Listener.(*journal).living; len(heard) != b.set().Len() {
			m.t.Errorf("box %d holds %d records, its listener heard of %d", b.n, b.set().Len(), len(heard))
		}
		for _, x := range m.order {
			id := x.r.ID()
			switch want := anywhere[id] && far(x.r) && !b.blocked(x) && !hidden(b, x); {
			case want && !shown[b.n][id]:
				m.t.Errorf("box %d does not show record %.8s of box %d, and others do", b.n, id, x.author)
			case shown[b.n][id] && (b.blocked(x) || hidden(b, x)):
				m.t.Errorf("box %d shows record %.8s, which is taken down or blocked", b.n, id)
			case shown[b.n][id] && x.r.Expires <= now-edge:
				m.t.Errorf("box %d shows record %.8s, which has expired", b.n, id)
			}
		}
	}
}
