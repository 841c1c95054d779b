package share

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"boucan/record"
	"boucan/share/dropdir"
)

// tableTwin is an Index: a sorted table in memory, and a log on disk that is
// synced before Write returns.
type tableTwin struct {
	mu    sync.RWMutex
	keys  []string
	value map[string][]byte
	log   *os.File
	fail  error // of the next Write

	gets, writes atomic.Int64
	wrote        func() // called after each Write where it is set
}

func openTable(path string) (*tableTwin, error) {
	t := &tableTwin{value: map[string][]byte{}}
	raw, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	whole := 0
	for b := raw; len(b) >= 4; whole = len(raw) - len(b) {
		n := int(binary.BigEndian.Uint32(b))
		if len(b)-4 < n {
			break
		}
		t.apply(b[4 : 4+n])
		b = b[4+n:]
	}
	if t.log, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if err := t.log.Truncate(int64(whole)); err != nil {
		return nil, err
	}
	_, err = t.log.Seek(0, io.SeekEnd)
	return t, err
}

func (t *tableTwin) apply(b []byte) {
	for len(b) > 0 {
		k := string(b[8 : 8+binary.BigEndian.Uint32(b)])
		n := binary.BigEndian.Uint32(b[4:])
		b = b[8+len(k):]
		i, had := slices.BinarySearch(t.keys, k)
		if n == 1<<32-1 {
			if had {
				t.keys = slices.Delete(t.keys, i, i+1)
				delete(t.value, k)
			}
			continue
		}
		if !had {
			t.keys = slices.Insert(t.keys, i, k)
		}
		t.value[k] = bytes.Clone(b[:n])
		b = b[n:]
	}
}

func (t *tableTwin) Get(key []byte) ([]byte, bool, error) {
	t.gets.Add(1)
	return t.get(key)
}

func (t *tableTwin) get(key []byte) ([]byte, bool, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, ok := t.value[string(key)]
	return bytes.Clone(v), ok, nil
}

func (t *tableTwin) Scan(from, to []byte) (iter.Seq2[[]byte, []byte], func() error) {
	return func(yield func([]byte, []byte) bool) {
		t.mu.RLock()
		i, _ := slices.BinarySearch(t.keys, string(from))
		keys := slices.Clone(t.keys[i:min(len(t.keys), i+2*pageSize)])
		t.mu.RUnlock()
		for _, k := range keys {
			if to != nil && k >= string(to) {
				return
			}
			v, _, _ := t.get([]byte(k))
			if !yield([]byte(k), v) {
				return
			}
		}
	}, func() error { return nil }
}

func (t *tableTwin) ScanBack(from, to []byte) (iter.Seq2[[]byte, []byte], func() error) {
	panic("share does not scan back")
}

func (t *tableTwin) Write(pairs iter.Seq2[[]byte, []byte]) error {
	const maxPairs, maxBytes, maxKey, maxValue = 4096, 1 << 20, 1200, 64 << 10
	t.writes.Add(1)
	if t.wrote != nil {
		defer t.wrote()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.fail; err != nil {
		t.fail = nil
		return err
	}
	var b []byte
	n, size := 0, 0
	for k, v := range pairs {
		n, size = n+1, size+len(k)+len(v)
		if n > maxPairs || size > maxBytes || len(k) > maxKey || len(v) > maxValue {
			panic("write is larger than the store allows")
		}
		b = binary.BigEndian.AppendUint32(b, uint32(len(k)))
		if v == nil {
			b = binary.BigEndian.AppendUint32(b, 1<<32-1)
		} else {
			b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		}
		b = append(append(b, k...), v...)
	}
	if _, err := t.log.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)); err != nil {
		return err
	}
	if err := t.log.Sync(); err != nil {
		return err
	}
	t.apply(b)
	return nil
}

// catalogTwin is a Catalog that remembers.
type catalogTwin struct {
	mu       sync.Mutex
	changed  chan struct{} // replaced at each call
	appeared []File
	vanished []File
	arrived  []record.CID
	told     []string // "+path" and "-path", in order
	fail     error    // of the next call

	hold <-chan struct{} // Appeared waits for it where it is set
}

func newCatalog() *catalogTwin { return &catalogTwin{changed: make(chan struct{})} }

func (c *catalogTwin) note(f func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.fail; err != nil {
		c.fail = nil
		return err
	}
	f()
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

func (c *catalogTwin) Appeared(ctx context.Context, files []File) error {
	if c.hold != nil {
		select {
		case <-c.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return c.note(func() {
		c.appeared = append(c.appeared, files...)
		for _, f := range files {
			c.told = append(c.told, "+"+f.Path)
		}
	})
}

func (c *catalogTwin) Vanished(_ context.Context, files []File) error {
	return c.note(func() {
		c.vanished = append(c.vanished, files...)
		for _, f := range files {
			c.told = append(c.told, "-"+f.Path)
		}
	})
}

func (c *catalogTwin) Arrived(_ context.Context, cids []record.CID) error {
	return c.note(func() { c.arrived = append(c.arrived, cids...) })
}

// until waits for what the catalog was told to be as ok wants it.
func (c *catalogTwin) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		c.mu.Lock()
		good, changed := ok(), c.changed
		c.mu.Unlock()
		if good {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			c.mu.Lock()
			defer c.mu.Unlock()
			t.Fatalf("waited in vain: %s; told %q", what, c.told)
		}
	}
}

func (c *catalogTwin) toldOf() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.told)
}

// nobody is a Streams without peers.
type nobody struct{}

func (nobody) Peers() []record.Key { return nil }
func (nobody) Open(context.Context, record.Key) (Stream, error) {
	return nil, os.ErrNotExist
}

// box is a folder, its index and its blobs.
type box struct {
	*Blobs
	t       *testing.T
	root    string // holds files/ and the table
	dir     *dropdir.Dir
	table   *tableTwin
	catalog *catalogTwin
	options Options
	stop    func()

	tableDir string // holds the table, root where empty
}

// newBox makes a box that does not run yet.
func newBox(t *testing.T) *box {
	b := &box{t: t, root: t.TempDir(), catalog: newCatalog()}
	b.open()
	t.Cleanup(b.close)
	return b
}

func (b *box) open() {
	b.t.Helper()
	var err error
	if b.dir, err = dropdir.Open(b.files(), dropdir.Options{}); err != nil {
		b.t.Fatal(err)
	}
	at := b.tableDir
	if at == "" {
		at = b.root
	}
	if b.table, err = openTable(filepath.Join(at, "table")); err != nil {
		b.t.Fatal(err)
	}
	if b.Blobs, err = Open(b.dir, b.table, nobody{}, b.catalog, b.options); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) close() {
	b.halt()
	b.dir.Close()
	b.table.log.Close()
}

// again is a restart of the program.
func (b *box) again() {
	b.t.Helper()
	b.close()
	b.open()
}

// run follows the folder until halt.
func (b *box) run() {
	ctx, cancel := context.WithCancel(b.t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if err := b.Run(ctx); err != nil {
			b.t.Error(err)
		}
	})
	b.stop = func() { cancel(); all.Wait() }
}

func (b *box) halt() {
	if b.stop != nil {
		b.stop()
		b.stop = nil
	}
}

func (b *box) files() string { return filepath.Join(b.root, "files") }

func (b *box) at(path string) string { return filepath.Join(b.files(), filepath.FromSlash(path)) }

// put writes a file by hand.
func (b *box) put(path, content string) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(b.at(path)), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(b.at(path), []byte(content), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) remove(path string) {
	b.t.Helper()
	if err := os.RemoveAll(b.at(path)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) drop(name, content string) Dropped {
	b.t.Helper()
	d, err := b.Drop(b.t.Context(), name, bytes.NewReader([]byte(content)))
	if err != nil {
		b.t.Fatal(err)
	}
	return d
}

// listed is what Files yields: path and content's CID.
func (b *box) listed() map[string]record.CID {
	b.t.Helper()
	m := map[string]record.CID{}
	seq, end := b.Files()
	for f := range seq {
		m[f.Path] = f.CID
	}
	if err := end(); err != nil {
		b.t.Fatal(err)
	}
	return m
}

func (b *box) paths() []string {
	b.t.Helper()
	var paths []string
	for p := range b.listed() {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return paths
}

// read reads a blob through Open.
func (b *box) read(cid record.CID) string {
	b.t.Helper()
	f, _, err := b.Open(cid)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	content, err := io.ReadAll(f)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(content)
}

func cidOf(content string) record.CID {
	h := NewHasher()
	io.WriteString(h, content)
	return h.Manifest().CID
}
