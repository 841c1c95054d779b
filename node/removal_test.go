package node

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"boucan/control"
	"boucan/record"
)

// remove takes something down by the command line.
func (b *testBox) remove(ref string) control.Removed {
	b.t.Helper()
	r, err := b.Remove(b.t.Context(), ref)
	if err != nil {
		b.t.Fatalf("remove %q: %v", ref, err)
	}
	return r
}

// must fails the test where a command of the box did.
func (b *testBox) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *testBox) id() string { return b.node.key.Key().String() }

// empty reports whether neither a file nor a part of one lies in the folder.
func (b *testBox) empty() bool {
	b.t.Helper()
	partials, err := b.node.dir.Partials()
	b.must(err)
	return len(b.folder()) == 0 && len(partials) == 0
}

// undoable drops by the command line and returns the undo code.
func (b *testBox) undoable(name, content string) control.Added {
	b.t.Helper()
	added, err := b.Drop(b.t.Context(), name, strings.NewReader(content))
	b.must(err)
	return added
}

// did is the log of actions, a word each.
func (b *testBox) did() (words []string) {
	b.t.Helper()
	list, err := b.Actions(b.t.Context())
	b.must(err)
	for _, a := range list {
		if _, err := time.Parse(actionDay, a.Day); err != nil {
			b.t.Errorf("an action is dated %q", a.Day)
		}
		words = append(words, a.Did+" "+a.What)
	}
	return words
}

func TestRemoveOwn(t *testing.T) {
	a, b := newBox(t, "a"), newBox(t, "b")
	a.drop("drop.txt", "a drop")
	a.put("by hand.txt", "by hand")
	added := a.add("added.txt", "added")
	eventually(t, "b has all", func() bool { return b.has("added.txt", "by hand.txt", "drop.txt") })
	if r := a.remove("DROP.txt"); r.Own != 1 || r.Others != 0 || r.Shared || !r.Freed || r.Name != "drop.txt" {
		t.Errorf("the drop: %+v", r)
	}
	if r := a.remove("by hand.txt"); r.Own != 1 || !r.Shared || !r.Freed {
		t.Errorf("the file put there by hand: %+v", r)
	}
	if r := a.remove(added.CID); r.Own != 1 || r.CID != added.CID || r.What != "file" {
		t.Errorf("the file added: %+v", r)
	}
	for _, box := range []*testBox{a, b} {
		eventually(t, "all are gone", func() bool { return box.lists() && box.empty() })
	}
	if _, err := a.Remove(t.Context(), "drop.txt"); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("removing it again: %v", err)
	}
	a = a.again()
	if got := a.did(); !slices.Equal(got, []string{"withdraw file", "withdraw file", "withdraw file"}) {
		t.Errorf("the log says %q", got)
	}
	a.put("by hand.txt", "by hand")
	eventually(t, "what is put back by hand is shared again", func() bool { return b.has("by hand.txt") })
}

// TestRemoveOfOneNameKeepsTheOther: two names of the same bytes.
func TestRemoveOfOneNameKeepsTheOther(t *testing.T) {
	a := newBox(t, "a")
	a.add("mine.txt", "the same bytes")
	a.drop("guest.txt", "the same bytes")
	if r := a.remove("guest.txt"); !r.Kept || r.Freed || r.Own != 1 {
		t.Errorf("%+v", r)
	}
	if !a.has("mine.txt") {
		t.Fatalf("lists %v", a.ls())
	}
	a.drop("guest.txt", "the same bytes")
	if r := a.remove("mine.txt"); !r.Kept || !r.Shared {
		t.Errorf("%+v", r)
	}
	if a = a.again(); !a.has("guest.txt") {
		t.Errorf("lists %v", a.ls())
	}
	a.remove(a.ls()["guest.txt"].CID)
	eventually(t, "the bytes go with the last name", a.empty)
}

func TestModerator(t *testing.T) {
	a, m, c := newBox(t, "author"), newBox(t, "moderator"), newBox(t, "careful")
	c.must(c.Trust(t.Context(), m.id(), "the\u202e\u0007 club"))
	a.drop("bad.txt", "bad")
	a.drop("good.txt", "good")
	eventually(t, "all have it", func() bool { return m.has("bad.txt", "good.txt") && c.has("bad.txt", "good.txt") })
	if r := m.remove("bad.txt"); r.Own != 0 || r.Others != 1 || r.From != "author" || !r.Freed {
		t.Errorf("%+v", r)
	}
	for _, box := range []*testBox{m, c} {
		eventually(t, "it is gone, bytes and all", func() bool { return box.lists("good.txt") && len(box.folder()) == 1 })
	}
	if !a.has("bad.txt", "good.txt") {
		t.Errorf("who does not trust the moderator lists %v", a.ls())
	}
	c = c.again()
	list, err := c.Trusted(t.Context())
	c.must(err)
	if len(list) != 1 || list[0].ID != m.id() || list[0].Name != "the club" || list[0].Box != "moderator" {
		t.Errorf("after a restart it trusts %+v", list)
	}
	if !c.lists("good.txt") {
		t.Errorf("after a restart it lists %v", c.ls())
	}

	// Trusting later applies what was counted, and no longer trusting ends it.
	a.must(a.Trust(t.Context(), m.id(), ""))
	eventually(t, "it is gone on the box it was dropped on", func() bool { return a.lists("good.txt") && len(a.folder()) == 1 })
	a.must(a.Untrust(t.Context(), m.id()))
	c.must(c.Untrust(t.Context(), m.id()))
	if _, err := a.Remove(t.Context(), "bad.txt"); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("nobody has it, and it is found: %v", err)
	}
	if err := a.Untrust(t.Context(), m.id()); err == nil || !strings.Contains(err.Error(), "not trusted") {
		t.Errorf("no longer trusting a stranger: %v", err)
	}
	if got := a.did(); !slices.Equal(got, []string{"untrust box", "trust box"}) {
		t.Errorf("the log says %q", got)
	}
}

func TestUntrustBringsBackWhatOthersHave(t *testing.T) {
	a, m, c := newBox(t, "author"), newBox(t, "moderator"), newBox(t, "careful")
	c.must(c.Trust(t.Context(), m.id(), "club"))
	a.drop("disputed.txt", "disputed")
	eventually(t, "all have it", func() bool { return m.has("disputed.txt") && c.has("disputed.txt") })
	m.remove("disputed.txt")
	eventually(t, "it is gone", func() bool { return c.lists() && c.empty() })
	c.must(c.Untrust(t.Context(), m.id()))
	eventually(t, "it is back, bytes and all", func() bool { return c.has("disputed.txt") })
	if c.get("disputed.txt") != "disputed" {
		t.Error("with other bytes")
	}
}

// TestAModeratorHidesAFolderFile: the file stays the operator's and in the folder,
// and is not offered again until the operator says so.
func TestAModeratorHidesAFolderFile(t *testing.T) {
	a, m := newBox(t, "a"), newBox(t, "m")
	a.must(a.Trust(t.Context(), m.id(), ""))
	a.put("song.txt", "a song")
	a.put("poem.txt", "a poem")
	eventually(t, "m has both", func() bool { return m.has("poem.txt", "song.txt") })
	m.remove("song.txt")
	eventually(t, "it is hidden", func() bool { return a.lists("poem.txt") && m.lists("poem.txt") })
	a.put("new.txt", "new")
	eventually(t, "all else goes on", func() bool { return a.has("new.txt", "poem.txt") })
	a = a.startLater(fileLife + day)
	eventually(t, "the box is well again", func() bool { return a.has("new.txt", "poem.txt") })
	a = a.again()
	a.put("newer.txt", "newer")
	eventually(t, "it looked at all", func() bool { return a.has("new.txt", "newer.txt", "poem.txt") })
	if a.folder()["song.txt"] != "a song" {
		t.Fatalf("the folder holds %v", a.folder())
	}
	a.must(a.Untrust(t.Context(), m.id()))
	eventually(t, "it is offered again", func() bool { return a.ls()["song.txt"].Here })
	a.must(a.Trust(t.Context(), m.id(), ""))
	m.remove("poem.txt")
	eventually(t, "another is hidden", func() bool { return !a.ls()["poem.txt"].Here })
	a.add("poem.txt", "a poem") // the operator insists
	eventually(t, "it is offered again", func() bool { return a.ls()["poem.txt"].Here })
}

func TestUndo(t *testing.T) {
	a, b := newBox(t, "a"), newBox(t, "b")
	mine, same := a.undoable("regret.txt", "regret"), a.undoable("regret.txt", "regret")
	if mine.Undo == "" || mine.Undo == same.Undo || !same.Already {
		t.Fatalf("%+v, %+v", mine, same)
	}
	eventually(t, "b has both records", func() bool { return b.has("regret.txt") && b.node.records.Count(record.KindFile) == 2 })
	for _, wrong := range []string{"", "x", mine.Undo[1:], mine.Undo[:20] + same.Undo[20:], strings.Repeat("a", 4000)} {
		if _, err := b.Undo(t.Context(), wrong); err == nil {
			t.Errorf("undone by %.50q", wrong)
		}
	}
	r, err := b.Undo(t.Context(), "http://b.example/undo/"+strings.ToUpper(mine.Undo)+"/")
	b.must(err)
	if !r.Undone || r.Others != 1 || r.Own != 0 || r.Name != "regret.txt" || !r.Kept {
		t.Errorf("%+v", r)
	}
	eventually(t, "one record is left", func() bool { return a.node.records.Count(record.KindFile) == 1 })
	if !a.has("regret.txt") || !b.has("regret.txt") {
		t.Error("who dropped the same has lost it")
	}
	if r, err = a.Undo(t.Context(), same.Undo); err != nil || r.Kept || !r.Freed {
		t.Errorf("%+v, %v", r, err)
	}
	for _, box := range []*testBox{a, b} {
		eventually(t, "it is gone, bytes and all", func() bool { return box.lists() && box.empty() })
	}
	if _, err := a.Undo(t.Context(), same.Undo); err == nil || !strings.Contains(err.Error(), "gone already") {
		t.Errorf("undoing it twice: %v", err)
	}
	if got := b.did(); len(got) != 0 {
		t.Errorf("the log tells of visitors: %q", got)
	}
}

func TestBlocks(t *testing.T) {
	a, b := newBox(t, "a"), newBox(t, "b")
	a.drop("folder/Trojan.EXE", "a program")
	a.drop("song.txt", "a song")
	a.drop("poem.txt", "a poem")
	eventually(t, "b has all", func() bool { return b.has("folder/Trojan.EXE", "poem.txt", "song.txt") })
	song := a.ls()["song.txt"].CID

	b.must(b.Block(t.Context(), "name:*.exe"))
	b.must(b.Block(t.Context(), song))
	eventually(t, "they are gone, bytes and all", func() bool { return b.lists("poem.txt") && len(b.folder()) == 1 })
	a.drop("other.exe", "another program")
	a.drop("same song.txt", "a song")
	a.drop("fine.txt", "fine")
	eventually(t, "what else comes, comes", func() bool { return b.has("fine.txt", "poem.txt") })
	b = b.again()
	b.must(b.Block(t.Context(), "author:"+a.id()))
	eventually(t, "the box is blocked", func() bool { return b.lists() && b.empty() })
	list, err := b.Blocks(t.Context())
	b.must(err)
	if len(list) != 3 || list[0].What != "author:"+a.id() || list[0].Box == "" || list[1].What != song || list[2].What != "name:*.exe" {
		t.Errorf("blocked: %+v", list)
	}
	for _, drop := range []struct{ name, content string }{{"my.exe", "mine"}, {"a song.txt", "a song"}} {
		if _, err := b.Drop(t.Context(), drop.name, strings.NewReader(drop.content)); err == nil || !strings.Contains(err.Error(), "blocked") {
			t.Errorf("dropping %q: %v", drop.name, err)
		}
		if _, err := b.Add(t.Context(), drop.name, time.Now(), strings.NewReader(drop.content)); err == nil || !strings.Contains(err.Error(), "blocked") {
			t.Errorf("adding %q: %v", drop.name, err)
		}
	}
	if !b.empty() {
		t.Errorf("what was refused lies in the folder: %v", b.folder())
	}
	for _, one := range list {
		b.must(b.Unblock(t.Context(), one.What))
	}
	eventually(t, "all are back", func() bool {
		return b.has("fine.txt", "folder/Trojan.EXE", "other.exe", "poem.txt", "same song.txt", "song.txt")
	})
	for _, wrong := range []string{"", "x", "name:", "name:*", "name:??*", "name:" + strings.Repeat("a", 300), "author:x", "author:" + b.id(), song[1:]} {
		if err := b.Block(t.Context(), wrong); err == nil {
			t.Errorf("%q is blocked", wrong)
		}
	}
	if err := b.Unblock(t.Context(), song); err == nil || !strings.Contains(err.Error(), "not blocked") {
		t.Errorf("unblocking twice: %v", err)
	}
	if got := a.did(); len(got) != 0 {
		t.Errorf("another box's log says %q", got)
	}
}

// TestABlockSparesTheFolder: what the operator put there stays, unshared.
func TestABlockSparesTheFolder(t *testing.T) {
	a, b := newBox(t, "a"), newBox(t, "b")
	a.put("draft 1.txt", "a draft")
	eventually(t, "b has it", func() bool { return b.has("draft 1.txt") })
	a.must(a.Block(t.Context(), "name:draft ?.txt"))
	eventually(t, "it is hidden here", func() bool { return a.lists() })
	a.put("draft 2.txt", "another draft")
	a.put("final.txt", "final")
	eventually(t, "what else is new is shared", func() bool { return a.lists("final.txt") })
	a = a.again()
	a.put("final 2.txt", "final 2")
	eventually(t, "it looked at all", func() bool { return a.has("final 2.txt", "final.txt") })
	if len(a.folder()) != 4 {
		t.Errorf("the folder holds %v", a.folder())
	}
	if !b.ls()["draft 1.txt"].Here {
		t.Error("a block of one box took it from another")
	}
	a.must(a.Unblock(t.Context(), "name:draft ?.txt"))
	eventually(t, "all are shared again", func() bool { return b.has("draft 1.txt", "draft 2.txt", "final 2.txt", "final.txt") })
}

func TestRemoveMessage(t *testing.T) {
	a, b := newBox(t, "a"), newBox(t, "b")
	said, err := a.Say(t.Context(), "lobby", "", "shame on you")
	a.must(err)
	heard := func(box *testBox) int {
		list, err := box.History(t.Context(), "lobby", 10)
		box.must(err)
		return len(list)
	}
	eventually(t, "b hears it", func() bool { return heard(b) == 1 })
	if r := b.remove(said.ID); r.What != "message" || r.Others != 1 || r.From != "a" {
		t.Errorf("%+v", r)
	}
	if heard(b) != 0 || heard(a) != 1 {
		t.Errorf("%d here, %d there", heard(b), heard(a))
	}
	if r := a.remove(said.ID); r.Own != 1 || heard(a) != 0 {
		t.Errorf("%+v", r)
	}
	if _, err := a.Remove(t.Context(), said.ID); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("removing it again: %v", err)
	}
}

// TestWhatIsRemovedIsNotServed to a visitor who knows its address, nor kept while
// somebody reads it.
func TestWhatIsRemovedIsNotServed(t *testing.T) {
	a, b := newBox(t, "a"), newCaller(t, t.TempDir()+"/b")
	film := randomText(9, 9<<20)
	a.put("film.mp4", film)
	eventually(t, "b lists it", func() bool { return b.lists("film.mp4") })
	address := b.url + "/f/" + b.ls()["film.mp4"].CID + "/film.mp4"
	reading, err := http.Get(address)
	b.must(err)
	defer reading.Body.Close()
	if _, err := io.CopyN(io.Discard, reading.Body, 1<<20); err != nil {
		t.Fatal(err)
	}
	b.remove("film.mp4")
	eventually(t, "nothing of it is left", b.empty)
	again, err := http.Get(address)
	b.must(err)
	again.Body.Close()
	if again.StatusCode != http.StatusNotFound {
		t.Errorf("it is served: %s", again.Status)
	}
}

// TestAVisitorTakesBack what they dropped, without JavaScript and on another box.
func TestAVisitorTakesBack(t *testing.T) {
	a, b := newBox(t, "a"), newBox(t, "b")
	film := randomText(3, 3<<20)
	post := func(box *testBox, path, body string) (status int, text string) {
		resp, err := http.Post(box.url+path, "text/plain", strings.NewReader(body))
		box.must(err)
		defer resp.Body.Close()
		said, err := io.ReadAll(resp.Body)
		box.must(err)
		return resp.StatusCode, string(said)
	}
	const secret = "aaaaaaaaaaaaaaaaaaaaaaaaae"
	status, first := post(a, "/api/v1/files?name=film.mp4&secret="+secret, film)
	again, second := post(a, "/api/v1/files?name=film.mp4&secret="+secret, film)
	if status != 201 || again != 200 || a.node.records.Count(record.KindFile) != 1 {
		t.Fatalf("%d %s, tried again: %d %s", status, first, again, second)
	}
	_, code, ok := strings.Cut(first, `"undo":"`)
	if !ok || len(code) < 39 || !strings.Contains(second, code[:39]) {
		t.Fatalf("the answers are %s and %s", first, second)
	}
	code = code[:39]
	eventually(t, "b has it", func() bool { return b.has("film.mp4") })
	page, err := http.Get(b.url + "/undo/" + code)
	b.must(err)
	text, err := io.ReadAll(page.Body)
	page.Body.Close()
	if b.must(err); page.StatusCode != 200 || !strings.Contains(string(text), "film.mp4") {
		t.Fatalf("%s: %s", page.Status, text)
	}
	if status, text := post(b, "/undo/"+code, ""); status != 200 || !strings.Contains(text, "Taken back") {
		t.Fatalf("%d: %s", status, text)
	}
	for _, box := range []*testBox{a, b} {
		eventually(t, "it is gone, bytes and all", func() bool { return box.lists() && box.empty() })
	}
	for _, box := range []*testBox{a, b} {
		if strings.Contains(box.log.String(), secret) || strings.Contains(box.log.String(), code) {
			t.Error("the log has the code")
		}
	}
	if status, _ := post(a, "/undo/"+code, ""); status != 404 {
		t.Errorf("taken back twice: %d", status)
	}
}

// TestBytesThatComeTooLateGo: the last record went while they were on their way.
func TestBytesThatComeTooLateGo(t *testing.T) {
	a := newBox(t, "a")
	d, err := a.node.blobs.Drop(t.Context(), "late.txt", strings.NewReader("late"))
	a.must(err)
	a.must(a.node.library.Arrived(t.Context(), []record.CID{d.CID}))
	eventually(t, "they are deleted", a.empty)
	a = a.again()
	a.put("other.txt", "other")
	eventually(t, "the box looked at all", func() bool { return a.has("other.txt") })
	if !a.lists("other.txt") {
		t.Errorf("they are offered: %v", a.ls())
	}
}
