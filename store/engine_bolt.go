//go:build boltstore || 386 || arm || mips || mipsle

package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// Engine names the engine this build has: "bbolt" or "badger".
const Engine = "bbolt"

const (
	engineFile = "bbolt.db"
	otherFile  = "badger"

	// growth is by how much the file grows at a time, in bytes.
	growth = 1 << 20
	// fill is how full a page is left when it is split: many keys come in
	// order, and would leave every page half empty at bbolt's own 0.5.
	fill = 0.75
	// maxGroup bounds the bytes that one transaction takes from several
	// writers.
	maxGroup = 1 << 20
)

// maxFile is the largest the file may get, in bytes: 512 MiB on 32-bit
// processors, 16 GiB elsewhere, and less, down to leastFile, where there is no
// such stretch of free addresses. So much is mapped from the start. bbolt could
// map the file anew as it grows, but would first wait for all readers to end
// while letting no new ones begin: a scan whose body reads would stop the store
// for ever.
const (
	maxFile   = 512 << (20 + 5*(bits.UintSize/64))
	leastFile = 64 << 20
)

type boltEngine struct {
	*pages
	db *bbolt.DB
}

func openEngine(dir string, o Options) (engine, error) {
	path := filepath.Join(dir, engineFile)
	if err := makeFile(dir, path); err != nil {
		return nil, err
	}
	db, err := openFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	db.AllocSize = growth
	e := &boltEngine{db: db}
	e.pages = newPages(o.mapped(), e.forget)
	return e, nil
}

// makeFile makes the file and its tables where there is none. It is made aside:
// half a file, from a crash, would be taken for a damaged store.
func makeFile(dir, path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // opening it will tell
	}
	aside := path + ".new"
	if err := os.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store: make: %w", err)
	}
	db, err := openFile(aside, leastFile)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for t := meta; t <= last; t++ {
			if _, err := tx.CreateBucketIfNotExists([]byte{byte(t)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return boltError("make tables", err)
	}
	if err := os.Rename(aside, path); err != nil {
		return fmt.Errorf("store: make: %w", err)
	}
	return syncFolder(dir)
}

func openFile(path string, most int) (*bbolt.DB, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:         time.Millisecond, // another holder is told at once
		InitialMmapSize: most,
		MaxSize:         most,
		NoStatistics:    true,
	})
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, syscall.ENOMEM) && most > leastFile:
		return openFile(path, most/2)
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, ErrLocked
	case errors.Is(err, bbolterrors.ErrInvalid), errors.Is(err, bbolterrors.ErrChecksum),
		errors.Is(err, bbolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: open: %w", ErrDamaged, err)
	}
	return nil, boltError("open", err)
}

func (e *boltEngine) get(key []byte) (value []byte, ok bool, err error) {
	err = e.db.View(func(tx *bbolt.Tx) error {
		k, v := tx.Bucket(key[:1]).Cursor().Seek(key[1:])
		if k != nil && bytes.Equal(k, key[1:]) {
			value, ok = append([]byte{}, v...), true
		}
		return nil
	})
	if err != nil {
		return nil, false, boltError("get", err)
	}
	return value, ok, nil
}

func (e *boltEngine) write(changes []change) error {
	err := e.db.Update(func(tx *bbolt.Tx) error {
		for _, c := range changes {
			bucket := tx.Bucket(c.key[:1])
			bucket.FillPercent = fill
			if c.remove {
				if err := bucket.Delete(c.key[1:]); err != nil {
					return err
				}
			} else if err := bucket.Put(c.key[1:], c.value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return boltError("write", err)
	}
	return nil
}

func (e *boltEngine) fits(_, size int) bool { return size <= maxGroup }

func (e *boltEngine) close() error {
	if err := e.db.Close(); err != nil {
		return boltError("close", err)
	}
	return nil
}

// boltError finds the full disk in what bbolt says; it rolls back and goes on
// after one. Some of its errors hold the cause as text only.
func boltError(what string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, bbolterrors.ErrMaxSizeReached) ||
		strings.HasSuffix(err.Error(), syscall.ENOSPC.Error()) {
		return fmt.Errorf("%w: %s", ErrFull, what)
	}
	return fmt.Errorf("store: %s: %w", what, err)
}

type boltCursor struct {
	tx      *bbolt.Tx
	c       *bbolt.Cursor
	r       span
	key     []byte // with the table's byte, reused
	started bool
}

func (e *boltEngine) scan(r span) (cursor, error) {
	tx, err := e.db.Begin(false)
	if err != nil {
		return nil, boltError("scan", err)
	}
	return &boltCursor{tx: tx, c: tx.Bucket(r.from[:1]).Cursor(), r: r}, nil
}

func (c *boltCursor) next() (key, value []byte, ok bool, err error) {
	k, v := c.step()
	if k == nil {
		return nil, nil, false, nil
	}
	c.key = append(append(c.key[:0], c.r.from[0]), k...)
	if bytes.Compare(c.key, c.r.from) < 0 || bytes.Compare(c.key, c.r.to) >= 0 {
		return nil, nil, false, nil
	}
	return c.key, v, true, nil
}

func (c *boltCursor) step() (key, value []byte) {
	if c.started {
		if c.r.back {
			return c.c.Prev()
		}
		return c.c.Next()
	}
	c.started = true
	if !c.r.back {
		return c.c.Seek(c.r.from[1:])
	}
	if c.r.to[0] == c.r.from[0] { // bounded within the table
		if k, _ := c.c.Seek(c.r.to[1:]); k != nil {
			return c.c.Prev()
		}
	}
	return c.c.Last()
}

func (c *boltCursor) close() { _ = c.tx.Rollback() } // of a read transaction: cannot fail
