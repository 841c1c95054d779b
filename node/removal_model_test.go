package node

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"boucan/control"
	"boucan/record"
)

// story is real boxes that live through drops, removals, blocks and nights, and what
// the test knows of them. The rules of which record holds where are tried at length
// in replica's model test; here it is that bytes follow records.
type story struct {
	t       *testing.T
	rng     *rand.Rand
	boxes   []*testBox // nil while off
	names   []string
	dirs    []string
	things  []*thing
	blocked []map[string]bool // CIDs, by box
}

// thing is one record that offers a file.
type thing struct {
	id      record.ID
	cid     string
	name    string
	content string
	box     int  // that published it
	shared  bool // from its operator's folder
	undo    string
	gone    bool         // from everywhere
	hidden  map[int]bool // boxes that a moderator's takedown hides it on
}

// storySeed names another story than the usual one.
const storySeed = "BOUCAN_STORY_SEED"

func TestBytesFollowRecords(t *testing.T) {
	seed := uint64(1)
	if text := os.Getenv(storySeed); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", storySeed, err)
		}
	}
	t.Logf("%s=%d", storySeed, seed)
	s := &story{t: t, rng: rand.New(rand.NewPCG(seed, 2)), names: []string{"author", "moderator", "careful"}}
	for _, name := range s.names {
		s.dirs = append(s.dirs, filepath.Join(t.TempDir(), name))
		s.boxes = append(s.boxes, startBox(t, s.dirs[len(s.dirs)-1], nil))
		s.blocked = append(s.blocked, make(map[string]bool))
	}
	s.boxes[2].must(s.boxes[2].Trust(t.Context(), s.boxes[1].id(), ""))
	for range 90 {
		s.step()
	}
	for i, b := range s.boxes {
		if b == nil {
			s.boxes[i] = startBox(t, s.dirs[i], nil)
		}
	}
	last := ""
	defer func() {
		if t.Failed() {
			t.Log("what was wrong at last: ", last)
		}
	}()
	eventually(t, "bytes and lists are as the records say", func() bool {
		last = s.wrong()
		return last == ""
	})
	for _, b := range s.boxes { // and nothing is different after a night
		b.stop()
	}
	for i := range s.boxes {
		s.boxes[i] = startBox(t, s.dirs[i], nil)
	}
	eventually(t, "they still are after a restart", func() bool {
		last = s.wrong()
		return last == ""
	})
}

func (s *story) step() {
	i := s.rng.IntN(len(s.boxes))
	b := s.boxes[i]
	deed := s.rng.IntN(12)
	switch {
	case b == nil:
		s.boxes[i] = startBox(s.t, s.dirs[i], nil)
	case deed == 0:
		b.stop()
		s.boxes[i] = nil
	case deed < 5:
		s.drop(i, b)
	case deed < 6:
		s.share(i, b)
	case deed < 8:
		s.remove(i, b)
	case deed < 10:
		s.undo(i, b)
	default:
		s.block(i, b)
	}
}

// content is one of few, two of them long enough to land in parts.
func (s *story) content() string {
	n := s.rng.IntN(8)
	if n < 2 {
		return randomText(byte(40+n), 2<<20+n)
	}
	return fmt.Sprint("content ", n)
}

func (s *story) drop(i int, b *testBox) {
	content, name := s.content(), fmt.Sprintf("drop %d.txt", s.rng.IntN(5))
	added, err := b.Drop(s.t.Context(), name, strings.NewReader(content))
	if err != nil {
		if !strings.Contains(err.Error(), "blocked") && !strings.Contains(err.Error(), "drop it again") {
			s.t.Errorf("drop: %v", err)
		}
		return
	}
	s.note(i, b, added, content, false)
}

// share puts a file into the folder by the command line, under a name of its own.
func (s *story) share(i int, b *testBox) {
	content := s.content()
	added, err := b.Add(s.t.Context(), fmt.Sprintf("shared %d.txt", len(s.things)), timeOf(1), strings.NewReader(content))
	if err != nil {
		if !strings.Contains(err.Error(), "blocked") {
			s.t.Errorf("add: %v", err)
		}
		return
	}
	s.note(i, b, added, content, true)
}

func (s *story) note(i int, b *testBox, added control.Added, content string, shared bool) {
	cid, err := record.ParseCID(added.CID)
	b.must(err)
	for _, o := range b.node.library.names.offerings(cid, added.Name) {
		known := false
		for _, x := range s.things {
			known = known || x.id == o.id
		}
		if !known && o.author == b.node.key.Key() {
			s.things = append(s.things, &thing{
				id: o.id, cid: added.CID, name: added.Name, content: content, box: i, shared: shared, undo: added.Undo, hidden: make(map[int]bool),
			})
		}
	}
}

// remove takes down something that the box lists.
func (s *story) remove(i int, b *testBox) {
	var refs []string
	for name := range b.ls() {
		refs = append(refs, name)
	}
	if len(refs) == 0 {
		return
	}
	row, ok := b.node.library.names.find(refs[s.rng.IntN(len(refs))])
	if !ok {
		return
	}
	going := b.node.library.names.offerings(row.cid, row.said)
	if _, err := b.Remove(s.t.Context(), row.name); err != nil {
		return // it went just now
	}
	for _, o := range going {
		for _, x := range s.things {
			if x.id != o.id {
				continue
			}
			x.gone = x.gone || x.box == i
			x.hidden[i] = true
			x.hidden[2] = x.hidden[2] || i == 1
		}
	}
}

func (s *story) undo(_ int, b *testBox) {
	var codes []*thing
	for _, x := range s.things {
		if x.undo != "" && !x.gone {
			codes = append(codes, x)
		}
	}
	if len(codes) == 0 {
		return
	}
	x := codes[s.rng.IntN(len(codes))]
	if _, err := b.Undo(s.t.Context(), x.undo); err == nil {
		x.gone = true
	}
}

func (s *story) block(i int, b *testBox) {
	if len(s.things) == 0 {
		return
	}
	cid := s.things[s.rng.IntN(len(s.things))].cid
	if s.blocked[i][cid] {
		delete(s.blocked[i], cid)
		b.must(b.Unblock(s.t.Context(), cid))
		return
	}
	s.blocked[i][cid] = true
	b.must(b.Block(s.t.Context(), cid))
}

// wrong says what is not as it should be, or nothing.
func (s *story) wrong() string {
	// Bytes that every box blocked at some time are nowhere, and listed all the same
	// where a record has come back.
	anywhere := make(map[record.CID]bool)
	for _, b := range s.boxes {
		for _, content := range b.folder() {
			anywhere[s.cidOf(content)] = true
		}
	}
	for i, b := range s.boxes {
		partials, err := b.node.dir.Partials()
		b.must(err)
		if len(partials) > 0 {
			return fmt.Sprintf("%s has parts of files: %v", s.names[i], partials)
		}
		living, own := make(map[string]bool), make(map[string]bool)
		for _, x := range s.things {
			_, there, err := b.node.records.Get(x.id)
			b.must(err)
			hides := x.gone || x.hidden[i] || s.blocked[i][x.cid]
			switch {
			case there && hides:
				return fmt.Sprintf("%s shows %s, which is gone", s.names[i], x.name)
			case there:
				living[x.content] = true
			case !hides && x.box == i && !x.shared:
				// A drop that was blocked or hidden here for a while may be nowhere.
				if s.lost(x) {
					continue
				}
				return fmt.Sprintf("%s lost %s", s.names[i], x.name)
			}
			own[x.content] = own[x.content] || x.shared && x.box == i && !x.gone
		}
		lying := make(map[string]bool)
		for path, content := range b.folder() {
			lying[content] = true
			if !own[content] && !b.node.library.names.mentions(s.cidOf(content)) {
				return fmt.Sprintf("%s has the bytes of %s, which nothing names", s.names[i], path)
			}
		}
		for _, f := range b.ls() {
			if cid, err := record.ParseCID(f.CID); err != nil || !f.Here && anywhere[cid] {
				return fmt.Sprintf("%s lists %s and does not have it", s.names[i], f.Name)
			}
		}
		for content := range living {
			if !lying[content] && anywhere[s.cidOf(content)] {
				return fmt.Sprintf("%s has not got %.20q", s.names[i], content)
			}
		}
	}
	return ""
}

// cidOf is the name of bytes that somebody shared.
func (s *story) cidOf(content string) (cid record.CID) {
	for _, x := range s.things {
		if x.content == content {
			cid, _ = record.ParseCID(x.cid)
		}
	}
	return cid
}

// lost reports whether no box has a record any more.
func (s *story) lost(x *thing) bool {
	for _, b := range s.boxes {
		if _, there, err := b.node.records.Get(x.id); err != nil || there {
			return false
		}
	}
	return true
}
