package share

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"

	"boucan/share/dropdir"
)

// batch is what is about to be written to the index, in front of what is there.
// It is for one goroutine. It is a dropdir.Known.
type batch struct {
	index  Index
	set    map[string][]byte // nil is deleted
	seen   map[string][]byte // what index said, nil where it has nothing
	order  []string          // keys of set, in the order of their first setting
	tally  tally
	folder string // known to be in the table, with all above it

	undo []undone // of the change under way
}

// undone is what a key was before a change.
type undone struct {
	key   string
	value []byte
	had   bool // was in set
}

// newBatch begins a batch that will write about so many pairs.
func newBatch(index Index, t tally, pairs int) *batch {
	return &batch{
		index: index, tally: t, order: make([]string, 0, pairs),
		set: make(map[string][]byte, pairs), seen: make(map[string][]byte, pairs),
	}
}

func (t *batch) get(key string) ([]byte, bool, error) {
	if v, ok := t.set[key]; ok {
		return v, v != nil, nil
	}
	// Placing a file asks most things twice. Manifests are written by others too.
	if v, ok := t.seen[key]; ok {
		return v, v != nil, nil
	}
	v, ok, err := t.index.Get([]byte(key))
	if err == nil && key[0] != keyManifest {
		t.seen[key] = nil
		if ok {
			t.seen[key] = append([]byte{}, v...)
		}
	}
	return v, ok, err
}

func (t *batch) put(key string, value []byte) {
	old, had := t.set[key]
	if !had {
		t.order = append(t.order, key)
	}
	t.undo = append(t.undo, undone{key, old, had})
	t.set[key] = value
}

func (t *batch) remove(key string) { t.put(key, nil) }

// begin starts a change that back can take back.
func (t *batch) begin() (back func()) {
	t.undo = t.undo[:0]
	before, folder, length := t.tally, t.folder, len(t.order)
	return func() {
		for _, u := range slices.Backward(t.undo) {
			if u.had {
				t.set[u.key] = u.value
			} else {
				delete(t.set, u.key)
			}
		}
		t.order = t.order[:length]
		t.tally, t.folder, t.undo = before, folder, nil
	}
}

// pairs is what is to be written.
func (t *batch) pairs() []pair {
	out := make([]pair, 0, len(t.order)+1)
	for _, key := range t.order {
		out = append(out, pair{key, t.set[key]})
	}
	return append(out, pair{settingTally, t.tally.encode()})
}

// lookUp finds what is known of a path.
func (t *batch) lookUp(path string) (known, bool, error) { return lookUp(t.get, path) }

// add makes a file known and offered. Nothing may be known of its path.
func (t *batch) add(path string, k known) error {
	t.put(pathKey(path), k.encode())
	if err := t.attach(path, k); err != nil {
		return err
	}
	if err := t.addName(path); err != nil {
		return err
	}
	if k.size >= movable && k.inode != 0 {
		t.put(inodeKey(k.inode), []byte(path))
	}
	return t.addFolder(parent(path))
}

// drop forgets a file.
func (t *batch) drop(path string, k known) error {
	t.remove(pathKey(path))
	if k.rotten {
		if err := t.whole(path, k); err != nil {
			return err
		}
	}
	if k.held {
		t.tally.held--
	} else if err := t.detach(path, k); err != nil {
		return err
	}
	if err := t.dropName(path); err != nil {
		return err
	}
	if k.size >= movable && k.inode != 0 {
		if v, ok, err := t.get(inodeKey(k.inode)); err != nil {
			return err
		} else if ok && string(v) == path {
			t.remove(inodeKey(k.inode))
		}
	}
	return t.dropManifest(k)
}

// dropManifest forgets the chunk hashes of a blob that lies nowhere.
func (t *batch) dropManifest(k known) error {
	if pieces(k.size) == 0 {
		return nil
	}
	if _, here, err := t.get(cidKey(keyCID, k.cid)); err != nil || here {
		return err
	}
	if _, damaged, err := t.damageOf(k.cid); err != nil || damaged {
		return err
	}
	for i := range pieces(k.size) {
		t.remove(pieceKey(k.cid, i))
	}
	return nil
}

// hold keeps a file known but not offered.
func (t *batch) hold(path string, k known) error {
	if err := t.detach(path, k); err != nil {
		return err
	}
	k.held = true
	t.tally.held++
	t.put(pathKey(path), k.encode())
	return nil
}

// offer takes hold back.
func (t *batch) offer(path string, k known) error {
	if k.rotten {
		if err := t.whole(path, k); err != nil {
			return err
		}
	}
	k.held, k.rotten = false, false
	t.tally.held--
	t.put(pathKey(path), k.encode())
	return t.attach(path, k)
}

// attach says that the blob lies at path.
func (t *batch) attach(path string, k known) error {
	t.tally.files++
	t.tally.bytes += k.size
	first := cidKey(keyCID, k.cid)
	v, ok, err := t.get(first)
	switch {
	case err != nil:
		return err
	case !ok:
		t.put(first, []byte(path))
	case string(v) != path:
		t.put(pathCIDKey(keyOther, k.cid, path), []byte(path))
	}
	return nil
}

// detach says that the blob does not lie at path any more.
func (t *batch) detach(path string, k known) error {
	t.tally.files--
	t.tally.bytes -= k.size
	first := cidKey(keyCID, k.cid)
	v, ok, err := t.get(first)
	if err != nil {
		return err
	}
	if !ok || string(v) != path {
		t.remove(pathCIDKey(keyOther, k.cid, path))
		return nil
	}
	next, ok, err := t.first(cidKey(keyOther, k.cid))
	if err != nil {
		return err
	}
	if !ok {
		t.remove(first)
		return nil
	}
	t.put(first, next.value)
	t.remove(next.key)
	return nil
}

// first finds one of the pairs whose key begins with prefix.
func (t *batch) first(prefix string) (found pair, ok bool, err error) {
	for _, key := range t.order {
		if v := t.set[key]; v != nil && strings.HasPrefix(key, prefix) {
			return pair{key, v}, true, nil
		}
	}
	seq, end := t.index.Scan([]byte(prefix), []byte(after(prefix)))
	for k, v := range seq {
		if _, changed := t.set[string(k)]; !changed {
			found, ok = pair{string(k), bytes.Clone(v)}, true
			break
		}
	}
	return found, ok, end()
}

// addName notes that the fold of path is taken.
func (t *batch) addName(path string) error {
	key, mine := foldKey(keyName, dropdir.Fold(path)), nameHash(path)
	v, _, err := t.get(key)
	if err != nil || nameAt(v, mine) >= 0 || len(v) >= maxNameTwins*len(mine) {
		return err
	}
	t.put(key, append(bytes.Clone(v), mine...))
	return nil
}

func (t *batch) dropName(path string) error {
	key, mine := foldKey(keyName, dropdir.Fold(path)), nameHash(path)
	v, _, err := t.get(key)
	i := nameAt(v, mine)
	if err != nil || i < 0 {
		return err
	}
	if v = slices.Delete(bytes.Clone(v), i, i+len(mine)); len(v) == 0 {
		v = nil
	}
	t.put(key, v)
	return nil
}

func nameHash(path string) []byte {
	h := sha256.Sum256([]byte(path))
	return h[:8]
}

func nameAt(list, name []byte) int {
	for i := 0; i+len(name) <= len(list); i += len(name) {
		if bytes.Equal(list[i:i+len(name)], name) {
			return i
		}
	}
	return -1
}

// addFolder notes how a folder is spelled, and those above it.
func (t *batch) addFolder(dir string) error {
	if dir == t.folder {
		return nil
	}
	for at := dir; at != ""; at = parent(at) {
		key := foldKey(keyFolder, dropdir.Fold(at))
		if v, ok, err := t.get(key); err != nil {
			return err
		} else if ok && string(v) == at {
			break
		}
		t.put(key, []byte(at))
	}
	t.folder = dir
	return nil
}

// dropFolder forgets a folder that is gone.
func (t *batch) dropFolder(dir string) error {
	key := foldKey(keyFolder, dropdir.Fold(dir))
	if v, ok, err := t.get(key); err != nil || !ok || string(v) != dir {
		return err
	}
	t.remove(key)
	t.folder = ""
	return nil
}

// File reports whether the fold of a path is taken (dropdir.Known).
func (t *batch) File(fold string) (bool, error) {
	_, ok, err := t.get(foldKey(keyName, fold))
	return ok, err
}

// Folder finds the folder of that fold (dropdir.Known).
func (t *batch) Folder(fold string) (string, bool, error) {
	v, ok, err := t.get(foldKey(keyFolder, fold))
	return string(v), ok, err
}

func parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return ""
}
