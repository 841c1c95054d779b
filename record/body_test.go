package record_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"boucan/record"
)

var cid = record.NewCID(record.CodecRaw, [32]byte{1})

func a(n int) string { return strings.Repeat("a", n) }

// path is a valid name of n bytes in elements of at most 200.
func path(n int) string {
	name := strings.Repeat(a(199)+"/", n/200) + a(n%200)
	if strings.HasSuffix(name, "/") {
		name = name[:len(name)-1] + "a"
	}
	return name
}

// TestBodyLimits holds each body at its limits and one past them.
func TestBodyLimits(t *testing.T) {
	file := func(change func(*record.File)) record.Body {
		f := record.File{Name: "a", CID: cid, Size: 1}
		change(&f)
		return f
	}
	say := func(m record.Message) record.Body {
		if m.Room == "" {
			m.Room = "lobby"
		}
		return m
	}
	post := func(p record.Post) record.Body { p.Text = "a"; return p }
	for _, c := range []struct {
		name     string
		at, past record.Body
	}{
		{"file name", file(func(f *record.File) { f.Name = path(record.MaxName) }), file(func(f *record.File) { f.Name = path(record.MaxName + 1) })},
		{"file name part", file(func(f *record.File) { f.Name = a(record.MaxNamePart) }), file(func(f *record.File) { f.Name = a(record.MaxNamePart + 1) })},
		{"file name least", file(func(f *record.File) { f.Name = "a" }), file(func(f *record.File) { f.Name = "" })},
		{"file size", file(func(f *record.File) { f.Size = record.MaxBlob }), file(func(f *record.File) { f.Size = record.MaxBlob + 1 })},
		{"file type", file(func(f *record.File) { f.MediaType = a(record.MaxMediaType) }), file(func(f *record.File) { f.MediaType = a(record.MaxMediaType + 1) })},
		{"file time", file(func(f *record.File) { f.Modified = record.MaxTime }), file(func(f *record.File) { f.Modified = record.MaxTime + 1 })},
		{"file description", file(func(f *record.File) { f.Description = a(record.MaxDescription) }), file(func(f *record.File) { f.Description = a(record.MaxDescription + 1) })},
		{"file cleaned", file(func(f *record.File) { f.Cleaned = record.CleanedKept }), file(func(f *record.File) { f.Cleaned = record.CleanedKept + 1 })},
		{"file room", file(func(f *record.File) { f.Room = a(record.MaxRoom) }), file(func(f *record.File) { f.Room = a(record.MaxRoom + 1) })},
		{"file CID", file(func(f *record.File) { f.CID = record.NewCID(record.CodecDagPB, [32]byte{}) }), file(func(f *record.File) { f.CID = record.CID{} })},
		{"message room", say(record.Message{Room: a(record.MaxRoom), Text: "a"}), say(record.Message{Room: a(record.MaxRoom + 1), Text: "a"})},
		{"message room least", record.Message{Room: "a", Text: "a"}, record.Message{Text: "a"}},
		{"message text", say(record.Message{Text: a(record.MaxMessage)}), say(record.Message{Text: a(record.MaxMessage + 1)})},
		{"message text least", say(record.Message{Text: "a"}), say(record.Message{})},
		{"message nick", say(record.Message{Text: "a", Nick: a(record.MaxNick)}), say(record.Message{Text: "a", Nick: a(record.MaxNick + 1)})},
		{"message reply", say(record.Message{Text: "a", Reply: make([]byte, 32)}), say(record.Message{Text: "a", Reply: make([]byte, 33)})},
		{"message reply least", say(record.Message{Text: "a", Reply: []byte{}}), say(record.Message{Text: "a", Reply: make([]byte, 31)})},
		{"post title", post(record.Post{Title: a(record.MaxTitle)}), post(record.Post{Title: a(record.MaxTitle + 1)})},
		{"post text", record.Post{Text: a(record.MaxPost)}, record.Post{Text: a(record.MaxPost + 1)}},
		{"post text least", record.Post{Text: "a"}, record.Post{}},
		{"post nick", post(record.Post{Nick: a(record.MaxNick)}), post(record.Post{Nick: a(record.MaxNick + 1)})},
		{"post thread", post(record.Post{Thread: make([]byte, 32)}), post(record.Post{Thread: make([]byte, 33)})},
		{"post image", post(record.Post{Image: cid[:]}), post(record.Post{Image: append(cid[:], 0)})},
		{"post image's profile", post(record.Post{Image: cid[:]}), post(record.Post{Image: make([]byte, 36)})},
		{"takedown secret", record.Takedown{Secret: make([]byte, record.MaxSecret)}, record.Takedown{Secret: make([]byte, record.MaxSecret+1)}},
		{"takedown reason", record.Takedown{Reason: a(record.MaxReason)}, record.Takedown{Reason: a(record.MaxReason + 1)}},
		{"card name", record.Card{Name: a(record.MaxNodeName)}, record.Card{Name: a(record.MaxNodeName + 1)}},
		{"card name least", record.Card{Name: "a"}, record.Card{}},
		{"card about", record.Card{Name: "a", About: a(record.MaxAbout)}, record.Card{Name: "a", About: a(record.MaxAbout + 1)}},
		{"card software", record.Card{Name: "a", Software: a(record.MaxSoftware)}, record.Card{Name: "a", Software: a(record.MaxSoftware + 1)}},
		{"card files", record.Card{Name: "a", Files: record.MaxCount}, record.Card{Name: "a", Files: record.MaxCount + 1}},
		{"card bytes", record.Card{Name: "a", Bytes: record.MaxCount}, record.Card{Name: "a", Bytes: record.MaxCount + 1}},
	} {
		if err := c.at.Check(); err != nil {
			t.Errorf("%s, at the limit: %v", c.name, err)
		}
		mustSign(t, alice, record.Draft{Created: now, Life: time.Hour, Body: c.at})
		if err := c.past.Check(); class(t, err) != "body" {
			t.Errorf("%s, one past: %v", c.name, err)
		}
		// The same from outside: past the limit, and past Check.
		_, err := takeIn(sealKind(t, c.past.Kind(), rawBody(t, c.past)), now)
		if class(t, err) != "body" {
			t.Errorf("%s, one past, on the wire: %v", c.name, err)
		}
	}
}

// rawBody encodes a body that Sign refuses.
func rawBody(tb testing.TB, b record.Body) []byte {
	tb.Helper()
	return deterministic(tb, b)
}

// Each text field of each body refuses what CleanLine or CleanText would change.
// A file's name has rules of its own, and vectors for them.
func TestBodiesTakeOnlyCleanText(t *testing.T) {
	for _, body := range []record.Body{
		record.File{Name: "a", CID: cid},
		record.Message{Room: "a", Text: "a"},
		record.Post{Text: "a"},
		record.Takedown{},
		record.Card{Name: "a"},
	} {
		for i := range reflect.TypeOf(body).NumField() {
			if field := reflect.TypeOf(body).Field(i); field.Type.Kind() != reflect.String || body.Kind() == record.KindFile && field.Name == "Name" {
				continue
			}
			for _, bad := range []string{"a\x00b", "a\x1b[2Jb", "a\u202eb", "a\u2028b", "\ufeffa", " a", "a ", "\na", "a\u3000", "a\rb", "a\xffb", "\xed\xa0\x80"} {
				changed := reflect.New(reflect.TypeOf(body)).Elem()
				changed.Set(reflect.ValueOf(body))
				changed.Field(i).SetString(bad)
				if err := changed.Interface().(record.Body).Check(); class(t, err) != "body" {
					t.Errorf("%T.%s takes %q: %v", body, reflect.TypeOf(body).Field(i).Name, bad, err)
				}
			}
		}
	}
}

func TestBodiesComeBackAsTheyWent(t *testing.T) {
	id := record.ID(bytes.Repeat([]byte{9}, 32))
	for _, body := range []record.Body{
		record.File{Name: "a/b.jpg", CID: cid, Size: 7, MediaType: "image/jpeg", Modified: 1, Description: "x\n\ty", Cleaned: record.CleanedDone, Room: "r"},
		record.File{Name: "a", CID: cid},
		record.Message{Room: "r", Text: "t", Nick: "n", Mark: 1<<32 - 1, Reply: id[:]},
		record.Message{Room: "r", Text: "t"},
		record.Post{Title: "t", Text: "x", Nick: "n", Thread: id[:], Image: cid[:], Pinned: true},
		record.Post{Text: "x"},
		record.Takedown{Target: id, Secret: []byte{1}, Reason: "r"},
		record.Takedown{},
		record.Card{Name: "n", About: "a", Software: "s", Files: 1, Bytes: 2},
		record.Card{Name: "n"},
	} {
		r := mustSign(t, alice, record.Draft{Created: now, Life: time.Hour, Body: body})
		if r.Kind != body.Kind() {
			t.Errorf("%T: kind %d", body, r.Kind)
		}
		for i, got := range allBodies(t, r) {
			if i != int(r.Kind) {
				if got != nil {
					t.Errorf("a record of kind %d reads as one of kind %d", r.Kind, i)
				}
				continue
			}
			if !reflect.DeepEqual(got, body) {
				t.Errorf("%+v came back as %+v", body, got)
			}
		}
	}
}

// allBodies reads r as each kind; nil where it is not.
func allBodies(tb testing.TB, r *record.Record) map[int]record.Body {
	tb.Helper()
	out := map[int]record.Body{}
	keep := func(b record.Body, err error) {
		if err == nil {
			out[int(b.Kind())] = b
			return
		}
		out[int(b.Kind())] = nil
		if class(tb, err) != "body" {
			tb.Errorf("read as kind %d: %v", b.Kind(), err)
		}
	}
	file, err := r.File()
	keep(file, err)
	message, err := r.Message()
	keep(message, err)
	post, err := r.Post()
	keep(post, err)
	takedown, err := r.Takedown()
	keep(takedown, err)
	card, err := r.Card()
	keep(card, err)
	return out
}

// What an attacker wrote must not reach a log through an error.
func TestErrorsDoNotQuote(t *testing.T) {
	for _, body := range [][]byte{
		deterministic(t, map[any]any{1: "lobby", 2: "hello", "mystery": "mystery"}),
		append(append([]byte{0xa2, 0x67}, "mystery\x01\x67mystery"...), "\x01"...),
		append(append([]byte{0xa2, 0x67}, "mystery\x01\x67mystery"...), "\x02"...),
		deterministic(t, map[int]string{1: "mystery\x00", 2: "mystery"}),
		deterministic(t, "mystery"),
	} {
		for kind := record.KindFile; kind <= record.KindCard; kind++ {
			_, err := takeIn(sealKind(t, kind, body), now)
			if class(t, err) != "body" || strings.Contains(err.Error(), "mystery") {
				t.Errorf("kind %d: %v", kind, err)
			}
		}
	}
}

func TestTakedownHolds(t *testing.T) {
	secret := []byte("AAAAAAAAAAAAAAAAAAAAAAAAAA")
	draft := record.Draft{Created: now, Life: time.Hour, Body: hello}
	plain := mustSign(t, alice, draft)
	draft.Undo = record.UndoHash(secret)
	undoable := mustSign(t, alice, draft)
	draft.Undo = record.UndoHash(nil) // of no secret at all
	careless := mustSign(t, alice, draft)
	takedown := mustSign(t, alice, record.Draft{Created: now, Life: time.Hour, Undo: record.UndoHash(secret), Body: record.Takedown{Target: plain.ID()}})
	unknown := mustSign(t, alice, record.Draft{Created: now, Life: time.Hour, Body: foreign{77}})

	for _, c := range []struct {
		name    string
		target  *record.Record
		of      record.ID
		author  record.Key
		secret  []byte
		expires int64
		want    bool
	}{
		{"author", plain, plain.ID(), keyOf(alice), nil, plain.Expires, true},
		{"author, lives longer", plain, plain.ID(), keyOf(alice), nil, plain.Expires + 1, true},
		{"author, dies before its target", plain, plain.ID(), keyOf(alice), nil, plain.Expires - 1, false},
		{"author, of another record", plain, undoable.ID(), keyOf(alice), nil, plain.Expires, false},
		{"author, of nothing", plain, record.ID{}, keyOf(alice), nil, plain.Expires, false},
		{"author, wrong secret", undoable, undoable.ID(), keyOf(alice), []byte("wrong"), undoable.Expires, true},
		{"author, unknown kind", unknown, unknown.ID(), keyOf(alice), nil, unknown.Expires, true},
		{"stranger", plain, plain.ID(), keyOf(bob), nil, plain.Expires, false},
		{"zero key", plain, plain.ID(), record.Key{}, nil, plain.Expires, false},
		{"secret", undoable, undoable.ID(), keyOf(bob), secret, undoable.Expires, true},
		{"secret, dies before its target", undoable, undoable.ID(), keyOf(bob), secret, undoable.Expires - 1, false},
		{"secret, of another record", undoable, plain.ID(), keyOf(bob), secret, undoable.Expires, false},
		{"no secret", undoable, undoable.ID(), keyOf(bob), nil, undoable.Expires, false},
		{"wrong secret", undoable, undoable.ID(), keyOf(bob), append(secret[:len(secret):len(secret)], 0), undoable.Expires, false},
		{"start of the secret", undoable, undoable.ID(), keyOf(bob), secret[:25], undoable.Expires, false},
		{"hash in place of the secret", undoable, undoable.ID(), keyOf(bob), undoable.Undo, undoable.Expires, false},
		{"secret where no undo is", plain, plain.ID(), keyOf(bob), secret, plain.Expires, false},
		{"empty secret of a careless record", careless, careless.ID(), keyOf(bob), nil, careless.Expires, false},
		{"takedown of a takedown, by its author", takedown, takedown.ID(), keyOf(alice), nil, takedown.Expires, false},
		{"takedown of a takedown, by secret", takedown, takedown.ID(), keyOf(bob), secret, takedown.Expires, false},
	} {
		got := record.Takedown{Target: c.of, Secret: c.secret}.Holds(c.author, c.expires, c.target)
		if got != c.want {
			t.Errorf("%s: holds = %v", c.name, got)
		}
	}
}

// All that is listed is read at each start: the reader of files' bodies makes
// nothing but the name and the media type.
func TestFileIsReadWithoutTheLibrary(t *testing.T) {
	r := mustSign(t, alice, benchDraft())
	if n := testing.AllocsPerRun(100, func() {
		if _, err := r.File(); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("%v allocations", n)
	}
}
