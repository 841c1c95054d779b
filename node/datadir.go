package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrRunning is wrapped by Open's error when another process serves the data
// folder.
var ErrRunning = errors.New("already running")

// DefaultDataDir is $XDG_DATA_HOME/boucan, or ~/.local/share/boucan where that
// is unset (XDG Base Directory Specification).
func DefaultDataDir() (string, error) {
	if d := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "boucan"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("no home folder: name a data folder with --data")
	}
	return filepath.Join(home, ".local", "share", "boucan"), nil
}

// lockFile marks the data folder as served; the lock dies with the process.
const lockFile = "lock"

// lockDataDir makes dir and takes its lock, or fails with ErrRunning.
func lockDataDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data folder %s cannot be written: %w", dir, err)
	}
	if err := tryLock(f); err != nil {
		_ = f.Close()
		if errors.Is(err, errLocked) {
			return nil, fmt.Errorf("a boucan is %w on %s; stop it first, or name another folder with --data", ErrRunning, dir)
		}
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	return f, nil
}
