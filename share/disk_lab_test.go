//go:build lab && linux

package share

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"boucan/record"
)

// These tests need root, loop devices and mkfs. BOUCAN_LAB_DISKS names the file
// systems, such as "vfat exfat", where the kernel has others than ext4.
//
//	go test -tags lab -run Lab ./share
const labDisks = "BOUCAN_LAB_DISKS"

func disks() []string {
	if env := os.Getenv(labDisks); env != "" {
		return strings.Fields(env)
	}
	return []string{"ext4"}
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// disk is a file system in a file.
type disk struct {
	t           *testing.T
	kind, image string
	at          string // mount point
	mounted     bool
}

func newDisk(t *testing.T, kind string, megabytes int64) *disk {
	d := &disk{t: t, kind: kind, image: filepath.Join(t.TempDir(), "image"), at: t.TempDir()}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, megabytes<<20); err != nil {
		t.Fatal(err)
	}
	args := map[string][]string{"vfat": {"-F", "32"}, "ext4": {"-q"}, "xfs": {"-q"}, "btrfs": {"-q"}}[kind]
	command(t, "mkfs."+kind, append(args, d.image)...)
	t.Cleanup(d.unmount)
	d.mount()
	return d
}

func (d *disk) mount() {
	d.t.Helper()
	options := "loop"
	if d.kind == "vfat" || d.kind == "exfat" {
		options += ",iocharset=utf8"
	}
	command(d.t, "mount", "-t", d.kind, "-o", options, d.image, d.at)
	d.mounted = true
}

func (d *disk) unmount() {
	if d.mounted {
		d.mounted = false
		command(d.t, "umount", d.at)
	}
}

// cut pulls the plug: a copy of the disk as it is, without what was not
// written to it, takes its place.
func (d *disk) cut() {
	d.t.Helper()
	after := d.image + ".cut"
	command(d.t, "cp", "--sparse=always", d.image, after)
	d.unmount()
	d.image = after
	d.mount()
}

// boxOn makes a box on a disk, its table too if the disk is one that keeps
// order.
func boxOn(t *testing.T, root, table string) *box {
	b := &box{t: t, root: root, tableDir: table, catalog: newCatalog()}
	b.open()
	return b
}

// TestLabPowerCut: what Drop, a landing and a group of small blobs said is
// durable is there after the plug was pulled, and nothing is there by halves.
func TestLabPowerCut(t *testing.T) {
	type where struct {
		kind   string
		beside bool // the index lies on another disk, which is not cut
	}
	var tries []where
	for _, kind := range disks() {
		if tries = append(tries, where{kind, true}); kind != "vfat" && kind != "exfat" {
			tries = append(tries, where{kind, false})
		}
	}
	for _, at := range tries {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			d := newDisk(t, at.kind, 400)
			table := d.at
			if at.beside {
				table = t.TempDir()
			}
			b := boxOn(t, d.at, table)
			whole := map[record.CID]bool{cidOf(""): true}
			saved := map[string]record.CID{}
			var mu sync.Mutex
			note := func(path string, cid record.CID) {
				mu.Lock()
				defer mu.Unlock()
				saved[path], whole[cid] = cid, true
			}
			var all sync.WaitGroup
			for worker := range 4 {
				all.Go(func() {
					for i := worker; i < 24; i += 4 {
						x, err := b.Drop(t.Context(), fmt.Sprintf("%d/file.bin", i%3), bytes.NewReader(childContent("cut", i)))
						if err != nil {
							t.Error(err)
							return
						}
						note(x.Path, x.CID)
					}
				})
			}
			content, m := blobOf(1, 5*ChunkSize)
			l := b.landing(m, "landed/film")
			write(t, l, content, 0, 1, 2, 3, 4)
			f, err := l.finish(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			note(f.Path, f.CID)
			ws := wholes(60)
			for _, w := range ws {
				whole[w.w.CID] = true
			}
			if errs, err := b.landWhole(t.Context(), ws); err != nil || errors.Join(errs...) != nil {
				t.Fatal(errors.Join(errs...), err)
			}
			part, m2 := blobOf(2, 6*ChunkSize)
			l2 := b.landing(m2, "half")
			write(t, l2, part, 0, 5)
			if err := l2.close(); err != nil {
				t.Fatal(err)
			}
			all.Wait()
			// Not synced by anybody: a person's copy, and a drop under way.
			b.put("by hand", strings.Repeat("h", 100_000))
			a, err := b.dir.Incoming()
			if err != nil {
				t.Fatal(err)
			}
			a.Write(make([]byte, 100_000))
			defer a.Close()
			// Whatever else was synced, the last drop stands for itself.
			x := b.drop("new/folder/last", "last")
			note(x.Path, x.CID)

			b.close()
			a.Close()
			d.cut()
			b = boxOn(t, d.at, table)
			defer b.close()
			listed := b.listed()
			for path, cid := range saved {
				if listed[path] != cid {
					t.Errorf("%s is not listed", path)
				} else if got := b.read(cid); cidOf(got) != cid {
					t.Errorf("%s has %d wrong bytes", path, len(got))
				}
			}
			for _, w := range ws {
				if !b.Has(w.w.CID) || b.read(w.w.CID) != string(w.data) {
					t.Errorf("%s is lost", w.w.Name)
				}
			}
			l2 = b.landing(m2, "half")
			if got := l2.landed(); got != 2*ChunkSize {
				t.Errorf("%d bytes of the landing are left", got)
			}
			if err := l2.discard(); err != nil {
				t.Error(err)
			}
			filepath.WalkDir(b.files(), func(path string, e os.DirEntry, err error) error {
				rel, _ := filepath.Rel(b.files(), path)
				if err != nil || e.IsDir() || strings.HasPrefix(rel, ".boucan") || rel == "by hand" {
					return err
				}
				raw, err := os.ReadFile(path)
				if err != nil || !whole[cidOf(string(raw))] {
					t.Errorf("%s is there by halves: %d bytes, %v", rel, len(raw), err)
				}
				return nil
			})
		})
	}
}

func wholes(n int) (ws []whole) {
	for i := range n {
		content := fmt.Sprint("small ", i)
		ws = append(ws, whole{Wanted{CID: cidOf(content), Name: fmt.Sprintf("small/%d", i), Size: int64(len(content))}, []byte(content)})
	}
	return ws
}

// TestLabDisks: the folder does its work on other file systems too.
func TestLabDisks(t *testing.T) {
	for _, kind := range disks() {
		t.Run(kind, func(t *testing.T) {
			d := newDisk(t, kind, 400)
			b := boxOn(t, d.at, t.TempDir())
			b.put("Photos/one.jpg", "by hand")
			b.run()
			b.catalog.until(t, "by hand", func() bool { return len(b.catalog.appeared) == 1 })
			for _, c := range [][2]string{
				{"a.txt", "a.txt"}, {"A.TXT", "A (2).TXT"}, {"photos/two.jpg", "Photos/two.jpg"},
				{"photos/ONE.jpg", "Photos/ONE (2).jpg"}, {"photos", "photos (2)"}, {"日本語/مرحبا 😀.txt", "日本語/مرحبا 😀.txt"},
				{"e\u0301", "e\u0301"}, {"\u00e9", "\u00e9 (2)"}, {strings.Repeat("é", 120) + ".jpg", strings.Repeat("é", 120) + ".jpg"},
				{"a<b>.html", "a_b_.html"}, {"empty", "empty"},
			} {
				content := "content of " + c[0]
				if c[0] == "empty" {
					content = ""
				}
				if x := b.drop(c[0], content); x.Path != c[1] {
					t.Errorf("%q is dropped as %q", c[0], x.Path)
				}
			}
			content, m := blobOf(3, 9*ChunkSize+9)
			l := b.landing(m, "film.mkv")
			write(t, l, content, 0, 1, 2)
			if err := l.close(); err != nil {
				t.Fatal(err)
			}
			before, told := b.paths(), len(b.catalog.toldOf())
			b.close()
			d.unmount()
			d.mount()
			b.open()
			b.run()
			b.put("next", "next")
			b.catalog.until(t, "next", func() bool { return len(b.catalog.appeared) == 2 })
			if got := len(b.catalog.toldOf()); got != told+1 {
				t.Errorf("told of files that did not change: %q", b.catalog.toldOf())
			}
			if got := b.paths(); !slices.Equal(got, append(slices.Clone(before), "next")) && len(got) != len(before)+1 {
				t.Errorf("listed %q\nbefore %q", got, before)
			}
			l = b.landing(m, "film.mkv")
			if l.landed() != 3*ChunkSize {
				t.Errorf("%d bytes landed", l.landed())
			}
			write(t, l, content, slices.Collect(l.missing())...)
			if _, err := l.finish(t.Context()); err != nil || b.read(m.CID) != string(content) {
				t.Errorf("landing: %v", err)
			}
			if errs, err := b.landWhole(t.Context(), wholes(60)); err != nil || errors.Join(errs...) != nil {
				t.Error(errors.Join(errs...), err)
			}
			b.put("next", "edited by hand")
			b.catalog.until(t, "edited", func() bool { return len(b.catalog.vanished) == 1 })
			f, err := os.Create(b.at("slow"))
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(f, "half")
			b.put("quick", "quick")
			b.catalog.until(t, "quick", func() bool { _, ok := b.listed()["quick"]; return ok })
			if _, ok := b.listed()["slow"]; ok {
				t.Error("announced while it is open for writing")
			}
			f.Close()
			b.catalog.until(t, "slow", func() bool { _, ok := b.listed()["slow"]; return ok })
			if kind == "vfat" && b.dir.MaxFile() != 4<<30-1 {
				t.Errorf("largest file: %d", b.dir.MaxFile())
			}
			if err := b.Release(t.Context(), m.CID); err != nil || b.Has(m.CID) {
				t.Error(err)
			}
			b.close()
		})
	}
}

// TestLabFull: drops and landings stop before the reserve, and also where there
// is none.
func TestLabFull(t *testing.T) {
	const megabyte = 1 << 20
	for _, reserve := range []int64{5 * megabyte, 0} {
		t.Run(fmt.Sprint("reserve ", reserve), func(t *testing.T) {
			at := t.TempDir()
			command(t, "mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", at)
			b := boxOn(t, at, t.TempDir())
			defer func() { b.close(); command(t, "umount", at) }()
			b.options.Reserve = reserve
			b.again()
			free := func() int64 {
				t.Helper()
				var st syscall.Statfs_t
				if err := syscall.Statfs(at, &st); err != nil {
					t.Fatal(err)
				}
				return int64(st.Bavail) * st.Bsize
			}
			if _, err := b.Drop(t.Context(), "x", io.LimitReader(endless{}, 30*megabyte)); !errors.Is(err, ErrFull) {
				t.Fatalf("drop that does not fit: %v", err)
			}
			b.clean()
			var all sync.WaitGroup
			for i := range 4 {
				all.Go(func() {
					content := bytes.Repeat([]byte{byte(i + 1)}, 6*megabyte)
					if _, err := b.Drop(t.Context(), fmt.Sprint(i), bytes.NewReader(content)); err != nil && !errors.Is(err, ErrFull) {
						t.Error(err)
					}
					if free() < reserve {
						t.Errorf("%d bytes free", free())
					}
				})
			}
			all.Wait()
			if n := len(b.listed()); n > 3 {
				t.Errorf("%d drops fit", n)
			}
			_, m := blobOf(1, 30*megabyte)
			if _, err := b.startLanding(Wanted{CID: m.CID, Size: m.Size}, m); !errors.Is(err, ErrFull) {
				t.Errorf("landing that does not fit: %v", err)
			}
			for cid := range b.byCID() {
				if err := b.Release(t.Context(), cid); err != nil {
					t.Error(err)
				}
			}
			if x := b.drop("after", strings.Repeat("a", 8*megabyte)); x.Path != "after" {
				t.Errorf("%+v", x)
			}
		})
	}
}

func (b *box) byCID() map[record.CID]bool {
	m := map[record.CID]bool{}
	for _, cid := range b.listed() {
		m[cid] = true
	}
	return m
}
