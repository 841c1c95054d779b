//go:build !boltstore && !386 && !arm && !mips && !mipsle

package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// Engine names the engine this build has: "bbolt" or "badger".
const Engine = "badger"

const (
	engineFile = "badger"
	otherFile  = "bbolt.db"

	// valueThreshold is above MaxValue, so that every value lies in the tree
	// and compaction alone gives its space back. The value log stays empty.
	valueThreshold = 128 << 10
	// mostNew is how many tables of flushed memtables there may be before they
	// are compacted, in a small store.
	mostNew = 12
	// entryExtra bounds what Badger counts for a change beside key and value.
	entryExtra = 32
)

// badgerEngine runs Badger in managed mode: it numbers the versions itself, so
// that readers take the last complete one without waiting for the write that
// is under way, and so that a write larger than one of Badger's transactions
// (15 % of a memtable) is still all or nothing: its parts have one version,
// which nobody reads before the last part is there and which recover undoes
// after a crash.
type badgerEngine struct {
	*pages
	db   *badger.DB
	dir  string
	snap *snapshots
	room *room
	log  uint32 // number of the write-ahead log that Badger writes to
	most int    // bytes of changes that one transaction takes
	many int    // changes that one transaction takes
	due  bool   // there may be enough new tables to compact

	logger  *slog.Logger
	damaged bool // a block does not have its checksum; nothing is compacted

	maps       sync.RWMutex // held for reading by what may unmap a table, but for a compaction; guards compacting
	compacting bool
}

func openEngine(dir string, o Options) (engine, error) {
	path := filepath.Join(dir, engineFile)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("store: make folder: %w", err)
	}
	path, err := filepath.EvalSymlinks(path) // as the kernel names its maps
	if err != nil {
		return nil, fmt.Errorf("store: find folder: %w", err)
	}
	if err := removeEmpty(path); err != nil {
		return nil, err
	}
	opts := badgerOptions(path, o)
	room, err := openRoom(dir, path, opts.MemTableSize)
	if err != nil {
		return nil, err
	}
	db, err := badger.OpenManaged(opts)
	if err != nil {
		return nil, badgerError("open", err)
	}
	e := &badgerEngine{
		db: db, dir: path, room: room, logger: o.Logger, snap: newSnapshots(db.MaxVersion()),
		most: int(db.MaxBatchSize()) * 9 / 10,
		many: int(db.MaxBatchCount()) * 9 / 10,
	}
	e.pages = newPages(o.mapped(), e.forget)
	if err := errors.Join(e.findLog(), syncFolder(dir), e.recover()); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

// badgerOptions cuts Badger down to the budget: about an eighth of it for one
// memtable, of which two may be full, each with its log mapped beside it, while
// tables are built. It compacts only when told to, see compact. The rest was
// found by measuring.
func badgerOptions(path string, o Options) badger.Options {
	memtable := min(o.mapped(), mostCache) / 8
	opts := badger.DefaultOptions(path).
		WithLogger(badgerLog{o.Logger}).
		WithMetricsEnabled(false).
		WithSyncWrites(true).
		WithDetectConflicts(false).
		WithNumGoroutines(1).
		WithMemTableSize(memtable).
		WithNumMemtables(1).
		WithBaseTableSize(max(memtable/4, 512<<10)).
		WithBaseLevelSize(math.MaxInt64). // one level under the new tables
		WithNumCompactors(0).
		WithNumLevelZeroTables(1).
		WithNumLevelZeroTablesStall(math.MaxInt32).
		// Records are hashes, keys and signatures: they do not compress, and
		// blocks that are not compressed are read from the map without a cache.
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithChecksumVerificationMode(options.NoVerification). // values have their own, see sum.go
		WithValueThreshold(valueThreshold).
		WithValueLogFileSize(1 << 20)
	opts.TableSizeMultiplier = 1 // every table being built takes twice its size in memory
	return opts
}

func (e *badgerEngine) close() error {
	e.room.release()
	if err := e.db.Close(); err != nil {
		return badgerError("close", err)
	}
	return nil
}

// badgerError finds the full disk in what Badger says: most of its errors hold
// their cause as text only.
func badgerError(what string, err error) error {
	if strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		return fmt.Errorf("%w: %s", ErrFull, what)
	}
	return fmt.Errorf("store: %s: %w", what, err)
}

// badgerLog hands on what Badger says. Its text may hold keys, so it goes out
// at debug level only; that there is trouble is a warning.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(format string, args ...any) {
	l.log.Warn("store engine reports trouble; more at debug level")
	l.Debugf(format, args...)
}

func (l badgerLog) Warningf(format string, args ...any) { l.Errorf(format, args...) }
func (l badgerLog) Infof(format string, args ...any)    { l.Debugf(format, args...) }

func (l badgerLog) Debugf(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("store engine", "says", strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}

// removeEmpty removes logs of no bytes, which a crash between the making and
// the sizing of a log leaves behind and at which Badger refuses to open.
func removeEmpty(path string) error {
	files, err := filesWith(path, ".mem", ".vlog")
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Size() > 0 {
			continue
		}
		if err := os.Remove(filepath.Join(path, f.Name())); err != nil {
			return fmt.Errorf("store: remove empty log: %w", err)
		}
	}
	return nil
}

// filesWith lists the files of a folder whose names end in one of the
// extensions. Files that go meanwhile are left out.
func filesWith(path string, extensions ...string) ([]fs.FileInfo, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("store: look into folder: %w", err)
	}
	var files []fs.FileInfo
	for _, entry := range entries {
		if !slices.Contains(extensions, filepath.Ext(entry.Name())) {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("store: look into folder: %w", err)
		}
		files = append(files, info)
	}
	return files, nil
}
