//go:build lab && linux

package store_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"boucan/store"
)

// These tests need root, loop devices and mkfs.ext4:
//
//	go test -tags lab -run Lab ./store
//	go test -tags lab,boltstore -run Lab ./store

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// mount mounts the ext4 in the file image, made where it is not there, and
// unmounts it when the test is over.
func mount(t *testing.T, image string) (dir string) {
	t.Helper()
	if _, err := os.Stat(image); err != nil {
		run(t, "truncate", "-s", "256M", image)
		run(t, "mkfs.ext4", "-q", image)
	}
	dir = t.TempDir()
	run(t, "mount", "-o", "loop", image, dir)
	t.Cleanup(func() { run(t, "umount", dir) })
	return dir
}

// TestLabPowerCut cuts the power, several times, while writers are at work: the
// file behind the mounted file system is copied, and what is in the copy is
// what a disk would hold. What was not synced is in the kernel only.
func TestLabPowerCut(t *testing.T) {
	const rounds = 6
	images := t.TempDir()
	image := filepath.Join(images, "0")
	acks := make(acknowledged, rounds)
	for round := range rounds {
		next := filepath.Join(images, fmt.Sprint(round+1))
		t.Run(fmt.Sprint("cut", round), func(t *testing.T) {
			cmd := child(t, "write", filepath.Join(mount(t, image), "store"))
			cmd.Env = append(cmd.Env, fmt.Sprintf("STORE_TEST_ROUND=%d", round))
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			acks.count(t, lines, round, 1+round*round*25)
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			acks.count(t, lines, round, 0)
			_ = cmd.Wait() // killed, as it should be
			run(t, "cp", image, next)
		})
		t.Run(fmt.Sprint("after", round), func(t *testing.T) {
			db := openStore(t, filepath.Join(mount(t, next), "store"))
			acks.check(t, db.Table(store.Records))
		})
		t.Logf("cut %d: rows acknowledged %v", round, acks[round])
		image = next
	}
}

// TestLabMemory holds the mapped memory of the process to the budget, while
// much more than that is written and read.
func TestLabMemory(t *testing.T) {
	const total, size, budget = 60000, 800, 8 << 20
	dir := filepath.Join(mount(t, filepath.Join(t.TempDir(), "image")), "store")
	before := store.MappedBytes()
	db := openStore(t, dir)
	b := db.Table(store.Records)
	most := int64(0)
	for i := 0; i < total; i += 200 {
		if err := b.Write(records(i, i+200, size)); err != nil {
			t.Fatal(err)
		}
		most = max(most, store.MappedBytes()-before)
	}
	wantRecords(t, b, total, size)
	for i := 0; i < total; i += 7 {
		p := record(i, size)
		wantValue(t, b, p.key, p.value)
		most = max(most, store.MappedBytes()-before)
	}
	t.Logf("at most %d MB mapped for %d MB of records", most>>20, total*size>>20)
	if most > 4*budget {
		t.Errorf("%d MB mapped, with a budget of %d", most>>20, budget>>20)
	}
}
