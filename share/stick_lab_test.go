//go:build lab && linux

package share

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"boucan/share/dropdir"
)

// shutdown is EXT4_IOC_SHUTDOWN (ext4's own header): from then on the file system
// answers with EIO, as one whose stick was pulled while it was mounted.
const (
	shutdown           = 0x8004587d
	shutdownNoLogFlush = 2
)

// die makes the disk one that gives nothing but errors.
func (d *disk) die() {
	d.t.Helper()
	f, err := os.Open(d.at)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), shutdown, shutdownNoLogFlush); err != nil {
		d.t.Fatal(err)
	}
}

// pull takes the disk away from under whoever uses it.
func (d *disk) pull() {
	d.t.Helper()
	command(d.t, "umount", "-l", d.at)
	d.mounted = false
}

// stick is a box whose folder lies on a disk of its own, with two files, one of
// them large.
func stick(t *testing.T, kind string) (*disk, *box, string) {
	d := newDisk(t, kind, 96)
	b := boxOn(t, d.at, t.TempDir())
	t.Cleanup(b.close)
	b.run()
	b.drop("kept", "kept")
	large := string(bytes.Repeat([]byte("0123456789abcdef"), 40<<16))
	b.drop("large", large)
	return d, b, large
}

// settled waits for a condition and holds what a box in it does against what it
// should do.
func (b *box) settled(want Condition, drop error, reads bool) {
	b.t.Helper()
	waitFor(b.t, "the folder is "+string(want)+", and it is "+string(b.condition()), func() bool { return b.condition() == want })
	if _, err := b.Drop(b.t.Context(), "drop", strings.NewReader("drop")); !errors.Is(err, drop) {
		b.t.Errorf("%q: drop: %v", want, err)
	}
	if reads && b.read(cidOf("kept")) != "kept" {
		b.t.Errorf("%q: what is there is not read", want)
	}
	if told := b.catalog.toldOf(); slices.ContainsFunc(told, func(s string) bool { return strings.HasPrefix(s, "-") }) {
		b.t.Errorf("%q: told of %q", want, told)
	}
}

// TestLabStickPulled: a stick goes and comes, and others come in its place.
func TestLabStickPulled(t *testing.T) {
	for _, kind := range disks() {
		t.Run(kind, func(t *testing.T) {
			d, b, _ := stick(t, kind)
			for range 2 {
				d.pull()
				b.settled(dropdir.Unplugged, ErrAway, false)
				if left, err := os.ReadDir(d.at); err != nil || len(left) > 0 {
					t.Errorf("in the empty mount point lies %v, %v", left, err)
				}
				d.mount()
				b.settled(dropdir.Fine, nil, true)
			}
			mine := d.image
			other := newDisk(t, kind, 96)
			boxOn(t, other.at, t.TempDir()).close()
			other.unmount()
			d.pull()
			d.image = other.image
			d.mount()
			b.settled(dropdir.Other, ErrAway, false)
			d.pull()
			nobodys := newDisk(t, kind, 96)
			if err := errors.Join(os.Mkdir(nobodys.at+"/files", 0o755), os.WriteFile(nobodys.at+"/files/photo.jpg", nil, 0o644)); err != nil {
				t.Fatal(err)
			}
			nobodys.unmount()
			d.image = nobodys.image
			d.mount()
			b.settled(dropdir.Unmarked, ErrAway, false)
			d.pull()
			d.image = mine
			d.mount()
			b.settled(dropdir.Fine, nil, true)
		})
	}
}

// TestLabReadOnly: a file system that can only be read any more gives what it has.
func TestLabReadOnly(t *testing.T) {
	for _, kind := range disks() {
		t.Run(kind, func(t *testing.T) {
			d, b, _ := stick(t, kind)
			waitFor(t, "it can be mounted for reading", func() bool { return unix.Mount("", d.at, "", unix.MS_REMOUNT|unix.MS_RDONLY, "") == nil })
			b.settled(dropdir.ReadOnly, ErrReadOnly, true)
			b.again() // and starts so
			b.run()
			b.settled(dropdir.ReadOnly, ErrReadOnly, true)
			command(t, "mount", "-o", "remount,rw", d.at)
			b.settled(dropdir.Fine, nil, true)
		})
	}
}

// TestLabDiskThatDies: ext4 answers with nothing but errors, as when a stick is
// pulled that is mounted. Put back, it goes on.
func TestLabDiskThatDies(t *testing.T) {
	d, b, _ := stick(t, "ext4")
	d.die()
	b.settled(dropdir.Failing, ErrFailing, false)
	d.pull()
	b.settled(dropdir.Unplugged, ErrAway, false)
	d.mount()
	b.settled(dropdir.Fine, nil, true)
}

// TestLabBadSectors: a loop device whose file was cut gives EIO for what is behind
// the cut. The file that lies there is damaged, the other is given, and drops are
// taken as long as the disk takes them.
func TestLabBadSectors(t *testing.T) {
	d, b, _ := stick(t, "ext4")
	if err := os.Truncate(d.image, 24<<20); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0o200); err != nil {
		t.Fatal(err)
	}
	if err := b.StartScrub(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the damage is found", func() bool { return b.Usage().Damaged == 1 })
	if b.read(cidOf("kept")) != "kept" {
		t.Error("the other file is not read")
	}
	if told := b.catalog.toldOf(); len(told) != 0 {
		t.Errorf("told of %q", told)
	}
}
