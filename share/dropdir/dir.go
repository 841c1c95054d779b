// Package dropdir owns every file name and every file operation of the shared
// folder, all of them through os.Root: names that collide with nothing, commits
// that replace nothing, the walk, the watch, and the judgement whether a file
// is still being written.
//
// It knows no blob, no record and no index. The folder holds people's files
// under their own names; only .boucan inside it is ours:
//
//	.boucan/marker     a random name, so that another stick is told apart
//	.boucan/incoming/  drops under way, removed when left over from a crash
//	.boucan/partial/   downloads under way, kept across restarts
package dropdir

import (
	"errors"
	"log/slog"
)

// ErrAway says that the folder is not there, or is not the one that was known:
// a stick was pulled, or another was put in.
var ErrAway = errors.New("the shared folder is away")

// Options of Open. The zero value serves.
type Options struct {
	Logger *slog.Logger // nil discards
}

// Dir is the shared folder. Its methods may be called from many goroutines.
type Dir struct {
	path string
	log  *slog.Logger
}

// Open makes the folder at path ours, creating it and .boucan as needed.
func Open(path string, o Options) (*Dir, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Dir{path: path, log: o.Logger}, nil
}

// Close gives the folder back. Operations after it fail.
func (d *Dir) Close() error { return nil }
