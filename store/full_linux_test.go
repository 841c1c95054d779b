package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"boucan/store"
)

// TestFullDisk runs the child below in a mount namespace of its own, on a tmpfs
// of 64 MB: there, writing through a map to a page that has no room is a fault,
// as on any file system with holes.
func TestFullDisk(t *testing.T) {
	cmd := child(t, "full", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Unshareflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.Output()
	for line := range strings.Lines(string(out)) {
		t.Log(strings.TrimSpace(line))
	}
	if err != nil {
		t.Fatalf("child: %v", err)
	}
}

// fillDisk is the child of TestFullDisk. It says what it does and ends with
// status 1 at the first thing that is wrong.
func fillDisk() {
	dir := os.Getenv("STORE_TEST_DIR")
	d := &disk{dir: dir, store: filepath.Join(dir, "store"), other: filepath.Join(dir, "other")}
	d.must("mount", syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"))

	d.must("write", os.WriteFile(d.other, make([]byte, 16<<20), 0o600))
	d.open()
	d.writeUntilFull("the store fills the disk")
	d.check("reading a full store")
	d.reopen()
	d.check("after reopening")

	d.fillByOthers()
	d.wantFull("others have filled the disk")
	d.check("reading while others fill the disk")
	d.reopen() // closing and opening without a byte free
	d.wantFull("opened on a full disk")
	d.check("opened on a full disk")

	d.must("remove", os.Remove(d.other))
	d.writeSome("once there is room again", 20)
	d.reopen()
	d.check("at the end")

	d.crashOnFullDisk()
	d.must("unmount", d.db.Close())
}

type disk struct {
	dir, store, other string
	db                *store.DB
	rows              int // acknowledged
}

func (d *disk) must(what string, err error) {
	if err != nil {
		fmt.Printf("%s: %v\n", what, err)
		os.Exit(1)
	}
}

func (d *disk) open() {
	var err error
	d.db, err = store.Open(d.store, small)
	d.must("open", err)
}

func (d *disk) reopen() {
	d.must("close", d.db.Close())
	d.open()
}

// row is the i-th write: a few records, each tenth some hundred.
func (d *disk) row(i int) []pair {
	n := 3
	if i%10 == 9 {
		n = 1000
	}
	ps := make([]pair, n)
	for j := range ps {
		ps[j] = record(i*1000+j, 300)
	}
	return ps
}

func (d *disk) writeUntilFull(what string) {
	for {
		err := d.db.Table(store.Records).Write(pairs(d.row(d.rows)...))
		if errors.Is(err, store.ErrFull) {
			break
		}
		d.must(what, err)
		d.rows++
	}
	var s syscall.Statfs_t
	d.must("statfs", syscall.Statfs(d.dir, &s))
	fmt.Printf("%s: %d rows, %d MB free\n", what, d.rows, s.Bavail*uint64(s.Bsize)>>20)
}

func (d *disk) writeSome(what string, n int) {
	for range n {
		d.must(what, d.db.Table(store.Records).Write(pairs(d.row(d.rows)...)))
		d.rows++
	}
}

func (d *disk) wantFull(what string) {
	err := d.db.Table(store.Records).Write(pairs(d.row(9)...))
	for range 3 { // bbolt may find room for a little in its file
		if err == nil {
			err = d.db.Table(store.Blobs).Write(records(0, 3500, 250))
		}
	}
	if !errors.Is(err, store.ErrFull) {
		d.must(what, fmt.Errorf("a write returned %v", err))
	}
}

func (d *disk) fillByOthers() {
	f, err := os.OpenFile(d.other, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	d.must("create", err)
	zeros := make([]byte, 1<<16)
	for err == nil {
		_, err = f.Write(zeros)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		d.must("fill", err)
	}
	d.must("fill", f.Close())
}

func (d *disk) check(what string) {
	i, j := 0, 0
	want := d.row(0)
	seq, failed := d.db.Table(store.Records).Scan(nil, nil)
	for k, v := range seq {
		if string(k) != string(want[j].key) || string(v) != string(want[j].value) {
			d.must(what, fmt.Errorf("row %d key %d: got %q", i, j, k))
		}
		if j++; j == len(want) {
			i, j = i+1, 0
			want = d.row(i)
		}
	}
	d.must(what, failed())
	if i != d.rows || j != 0 {
		d.must(what, fmt.Errorf("%d rows and %d keys, want %d rows", i, j, d.rows))
	}
}

// crashOnFullDisk kills a writer while others fill the disk under it, and opens
// the store while there is no room.
func (d *disk) crashOnFullDisk() {
	d.must("close", d.db.Close())
	d.must("clear", os.RemoveAll(d.store))
	cmd, err := childCommand(context.Background(), "write", d.store)
	d.must("executable", err)
	r, err := cmd.StdoutPipe()
	d.must("pipe", err)
	cmd.Stderr = nil // it may well complain
	d.must("start", cmd.Start())
	var acked [crashWriters]int
	lines := bufio.NewScanner(r)
	for n := 0; lines.Scan(); n++ {
		var writer, row int
		_, err := fmt.Sscan(lines.Text(), &writer, &row)
		d.must("line", err)
		acked[writer] = row + 1
		if n == 60 {
			d.fillByOthers()
			d.must("kill", cmd.Process.Kill())
		}
	}
	_ = cmd.Wait() // killed, or ended by the full disk: both are crashes
	d.open()
	for writer, rows := range acked {
		for row := range rows {
			for _, want := range rowPairs(0, writer, row) {
				got, ok, err := d.db.Table(store.Records).Get(want.key)
				if err != nil || !ok || string(got) != string(want.value) {
					d.must("after a crash", fmt.Errorf("writer %d row %d: %t %v", writer, row, ok, err))
				}
			}
		}
	}
	fmt.Println("after a crash on a full disk:", acked, "rows acknowledged and there")
}
