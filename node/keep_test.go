package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"boucan/record"
	"boucan/replica"
	"boucan/share"
	"boucan/share/dropdir"
	"boucan/store"
)

// later is the system's clock, so much ahead.
func later(by time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(by) }
}

// startLater stops the box and starts it as if so much time had passed.
func (b *testBox) startLater(by time.Duration) *testBox {
	b.t.Helper()
	b.stop()
	return startBox(b.t, b.dir, later(by))
}

// offline works on the store of a box that is off.
func (b *testBox) offline(do func(db *store.DB)) {
	b.t.Helper()
	db, err := store.Open(filepath.Join(b.dir, storeDir), store.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	do(db)
	if err := db.Close(); err != nil {
		b.t.Fatal(err)
	}
}

// sign signs as the box does.
func (b *testBox) sign(d record.Draft) *record.Record {
	b.t.Helper()
	key, err := loadIdentity(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := record.Sign(key, d)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func TestADropEndsAndAnOperatorsFileStays(t *testing.T) {
	a := newBox(t, "a")
	a.drop("dropped.txt", "dropped")
	a.put("by hand.txt", "by hand")
	a.add("added.txt", "added")
	eventually(t, "all are there", func() bool { return a.has("added.txt", "by hand.txt", "dropped.txt") })

	a = a.startLater(fileLife + day) // the box was off: every record has run out
	eventually(t, "the operator's files are offered again", func() bool { return a.has("added.txt", "by hand.txt") })
	eventually(t, "the drop is deleted", func() bool { return len(a.folder()) == 2 })

	a = a.startLater(3 * fileLife)
	eventually(t, "and again after another long time", func() bool { return a.has("added.txt", "by hand.txt") })
	if got := a.folder(); got["by hand.txt"] != "by hand" || got["added.txt"] != "added" {
		t.Errorf("the folder holds %v", got)
	}
}

func TestOfferIsRenewedBeforeItEnds(t *testing.T) {
	a := newBox(t, "a")
	a.put("kept.txt", "kept")
	a.drop("dropped.txt", "dropped")
	eventually(t, "both are listed", func() bool { return a.has("dropped.txt", "kept.txt") })
	before := a.ls()["kept.txt"]

	a = a.startLater(fileLife - renewBefore + day)
	eventually(t, "the operator's file is offered for longer", func() bool {
		return a.ls()["kept.txt"].Expires.After(before.Expires.Add(day))
	})
	if now := a.ls()["kept.txt"]; !now.Created.Equal(before.Created) {
		t.Errorf("its date was %v and is %v", before.Created, now.Created)
	}
	if f := a.ls()["dropped.txt"]; f.Expires.After(time.Now().Add(fileLife + time.Hour)) {
		t.Errorf("a visitor's drop was renewed: it ends %v", f.Expires)
	}
	count := a.node.records.Count(record.KindFile)
	if a = a.startLater(fileLife - renewBefore + 2*day); a.node.records.Count(record.KindFile) != count {
		t.Errorf("it was renewed again the next day")
	}
	// In the long run it is dated anew: no record lives longer than it may.
	for passed := fileLife; passed < 2*record.KindFile.MaxLife(); passed += fileLife - 2*day {
		a = a.startLater(passed)
		eventually(t, "it is renewed", func() bool {
			f := a.ls()["kept.txt"]
			return f.Here && f.Expires.After(time.Now().Add(passed+renewBefore-time.Hour))
		})
	}
}

// TestAnOperatorsFileOutlivesAnothersOffer: two boxes hold the same bytes under
// the same name, one of them as its operator's.
func TestAnOperatorsFileOutlivesAnothersOffer(t *testing.T) {
	a, b := newBox(t, "a"), newBox(t, "b")
	a.drop("same.txt", "the same")
	eventually(t, "b has it", func() bool { return b.has("same.txt") })
	b.add("same.txt", "the same")
	b.drop("guest.txt", "a guest")
	a.drop("guest.txt", "a guest")
	eventually(t, "b has both records of each", func() bool { return b.node.records.Count(record.KindFile) == 4 })
	a.stop()                         // nobody gives the bytes back
	b = b.startLater(fileLife + day) // while it is off, all records run out
	eventually(t, "b offers its operator's file again", func() bool { return b.has("same.txt") })
	eventually(t, "and the guest is gone", func() bool { return len(b.folder()) == 1 })
}

func TestWithdrawnElsewhereStaysWhereTheOperatorSharesIt(t *testing.T) {
	a, b := newBox(t, "a"), newBox(t, "b")
	a.put("song.txt", "a song")
	a.put("sign.txt", "a sign")
	eventually(t, "b has it", func() bool { return b.has("sign.txt", "song.txt") })
	b.put("my song.txt", "a song")
	eventually(t, "b offers it too", func() bool { return a.has("my song.txt", "sign.txt", "song.txt") })
	b.drop("my song.txt", "a song") // which adds nothing
	a.rm("song.txt")
	a.rm("sign.txt")
	eventually(t, "a's offers are withdrawn", func() bool { return b.lists("my song.txt") })
	eventually(t, "b has deleted what a alone offered", func() bool { return b.folder()["sign.txt"] == "" })
	if b.get("my song.txt") != "a song" {
		t.Error("b lost its operator's file")
	}
}

// TestCrashBeforeTheRecordOfAFile: the folder's index knows a file that was put
// there by hand, and nothing else does.
func TestCrashBeforeTheRecordOfAFile(t *testing.T) {
	a := newBox(t, "a")
	a.drop("dropped.txt", "dropped")
	a.stop()
	a.put("by hand.txt", "by hand")
	a.offline(func(db *store.DB) {
		dir, err := dropdir.Open(filepath.Join(a.dir, filesDir), dropdir.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		blobs, err := share.Open(dir, db.Table(store.Blobs), nobody{}, deaf{}, share.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, crash := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- blobs.Run(ctx) }()
		eventually(t, "the file is indexed", func() bool { return blobs.Usage().Files == 2 })
		crash()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
	a = startBox(t, a.dir, nil)
	eventually(t, "the file is offered", func() bool { return a.has("by hand.txt", "dropped.txt") })
	a = a.startLater(fileLife + day)
	eventually(t, "as the operator's", func() bool { return a.has("by hand.txt") && len(a.folder()) == 1 })
}

// nobody is a network without peers, deaf a catalogue that takes nothing.
type (
	nobody struct{}
	deaf   struct{}
)

func (nobody) Peers() []record.Key { return nil }
func (nobody) Open(context.Context, record.Key) (share.Stream, error) {
	return nil, errors.New("nobody is there")
}

func (deaf) Appeared(context.Context, []share.File) error { return errors.New("crashed") }
func (deaf) Vanished(context.Context, []share.File) error { return errors.New("crashed") }
func (deaf) Arrived(context.Context, []record.CID) error  { return errors.New("crashed") }

// TestCrashBeforeTheBytesAreDeleted: a drop's record is taken down, and the
// power goes before anybody hears of it.
func TestCrashBeforeTheBytesAreDeleted(t *testing.T) {
	a := newBox(t, "a")
	a.drop("taken down.txt", "taken down")
	a.put("stays.txt", "stays")
	eventually(t, "both are listed", func() bool { return a.has("stays.txt", "taken down.txt") })
	id := a.node.library.find(t, "taken down.txt")
	a.stop()
	a.offline(func(db *store.DB) {
		set, err := replica.Open(db.Table(store.Records), replica.Options{})
		if err != nil {
			t.Fatal(err)
		}
		r, ok, err := set.Get(id)
		if err != nil || !ok {
			t.Fatal("no record", err)
		}
		down := a.sign(record.Draft{Created: time.Now(), Expires: timeOf(r.Expires), Body: record.Takedown{Target: id}})
		if err := set.Publish(t.Context(), down); err != nil {
			t.Fatal(err)
		}
	})
	a = startBox(t, a.dir, nil)
	if !a.lists("stays.txt") {
		t.Errorf("lists %v", a.ls())
	}
	eventually(t, "its bytes are deleted", func() bool { return len(a.folder()) == 1 })
}

func (l *library) find(t *testing.T, name string) record.ID {
	t.Helper()
	r, ok := l.names.find(name)
	if !ok {
		t.Fatalf("%q is not listed", name)
	}
	return r.id
}

// TestATakedownDeletesTheBytes of a drop, here and elsewhere; the same file may
// come again.
func TestATakedownDeletesTheBytes(t *testing.T) {
	a, b := newBox(t, "a"), newBox(t, "b")
	a.drop("shame.txt", "shame")
	eventually(t, "both have it", func() bool { return a.has("shame.txt") && b.has("shame.txt") })
	r, ok, err := a.node.records.Get(a.node.library.find(t, "shame.txt"))
	if err != nil || !ok {
		t.Fatal(err)
	}
	down := a.sign(record.Draft{Created: time.Now(), Expires: timeOf(r.Expires), Body: record.Takedown{Target: r.ID()}})
	if err := a.node.records.Publish(t.Context(), down); err != nil {
		t.Fatal(err)
	}
	for _, box := range []*testBox{a, b} {
		eventually(t, "it is gone, bytes and all", func() bool { return box.lists() && len(box.folder()) == 0 })
	}
	errs, err := b.node.records.Add(t.Context(), []*record.Record{r})
	if err != nil || !errors.Is(errs[0], replica.ErrTakenDown) {
		t.Errorf("the record came back: %v, %v", errs, err)
	}
	b.drop("shame.txt", "shame")
	for _, box := range []*testBox{a, b} {
		eventually(t, "whoever drops it again offers it again", func() bool { return box.has("shame.txt") })
	}
}

// TestDropsAndDeletionsOfOneFile race. Whatever was acknowledged and not
// withdrawn is there.
func TestDropsAndDeletionsOfOneFile(t *testing.T) {
	a := newBox(t, "a")
	l := a.node.library
	for round := range 30 {
		done := make(chan error, 3)
		for i := range cap(done) {
			go func() {
				_, err := l.drop(t.Context(), []string{"x.txt", "y.txt", "z.txt"}[i], strings.NewReader("fought over"), record.File{}, terms{})
				done <- err
			}()
		}
		for range cap(done) - 1 {
			if err := <-done; err != nil && !errors.Is(err, errWithdrawn) {
				t.Fatal(err)
			}
		}
		var cid record.CID
		if r, ok := l.names.find("x.txt"); ok {
			cid = r.cid
		} else if r, ok := l.names.find("y.txt"); ok {
			cid = r.cid
		}
		mine, _ := l.names.own(cid)
		if err := l.withdraw(t.Context(), mine); err != nil {
			t.Fatal(err)
		}
		err := <-done
		if err != nil && !errors.Is(err, errWithdrawn) {
			t.Fatal(err)
		}
		if err == nil && l.names.mentions(cid) && !a.node.blobs.Has(cid) {
			t.Fatalf("round %d: acknowledged, listed and gone", round)
		}
	}
	eventually(t, "what is listed is here", func() bool { return len(a.here()) == len(a.ls()) })
}

// TestFullSetOfRecords: what is too much is not offered, and all else goes on.
func TestFullSetOfRecords(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	c := config(dir, &testLog{})
	c.Profile.Records = 4 // one of them is the card
	c.Logger = slog.New(slog.DiscardHandler)
	a := startWith(t, c)
	for _, name := range []string{"1", "2", "3", "4", "5"} {
		a.put(name, "file "+name)
		eventually(t, "it is indexed", func() bool { return a.node.blobs.Usage().Files == len(a.folder()) })
	}
	if _, err := a.Add(t.Context(), "6", time.Now(), strings.NewReader("file 6")); err == nil || !strings.Contains(err.Error(), "as many files as it can") {
		t.Errorf("adding to a full list: %v", err)
	}
	if len(a.folder()) != 5 {
		t.Errorf("the folder holds %v: what was refused is still there", a.folder())
	}
	listed := a.here()
	if len(listed) == 0 {
		t.Fatal("nothing is listed")
	}
	a.rm(listed[0])
	eventually(t, "removal goes on", func() bool { return !slices.Contains(a.here(), listed[0]) })
}

// signAs signs as another author.
func signAs(t *testing.T, seed byte, d record.Draft) *record.Record {
	t.Helper()
	r, err := record.Sign(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)), d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
