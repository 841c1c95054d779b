package share

import (
	"errors"

	"boucan/share/dropdir"
)

// isPresent looks for the folder, and says once in the log what has become of it
// and of its disk.
func (f *follower) isPresent() bool {
	now := f.b.dir.Check()
	if now != f.said {
		was := f.said
		f.said = now
		f.say(was, now)
		if f.b.o.Changed != nil {
			f.b.o.Changed()
		}
	}
	return f.b.dir.Present()
}

// conditions are the sentences of the log.
var conditions = map[Condition]string{
	dropdir.Unplugged: "the shared folder is away: nothing, or an empty folder, is in its place; put the stick back, and all goes on by itself",
	dropdir.Other:     "another stick is in the place of the one with the shared folder; put the right one back, or \"boucan confirm\" that this is the one from now on",
	dropdir.Unmarked:  "a folder that is not this box's is in the place of the shared one; put the right stick back, or \"boucan confirm\" that this is the one from now on",
	dropdir.Silent:    "the disk with the shared folder gives nothing but errors; pull the stick and put it back, or replace it",
	dropdir.Shut:      "the shared folder may not be opened; give this program's user the right to read and write it",
	dropdir.ReadOnly:  "the disk with the shared folder can only be read; what is there is shared, and nothing is taken: have the file system checked, and mounted for writing",
	dropdir.Failing:   "the disk with the shared folder reports errors of its own; what can be read is shared, and nothing is taken: copy it while that is possible, and replace the disk",
}

func (f *follower) say(was, now Condition) {
	switch {
	case now != dropdir.Fine:
		f.b.log.Error(conditions[now])
	case was == dropdir.ReadOnly || was == dropdir.Failing:
		f.b.log.Info("the disk with the shared folder takes what is written to it again")
		f.b.hints.add("")
	default:
		f.b.log.Info("the shared folder is back")
	}
}

// writable fails with ErrAway, ErrReadOnly or ErrFailing where nothing can be
// written to the folder.
func (b *Blobs) writable() error {
	if !b.dir.Look() {
		return ErrAway
	}
	return b.dir.Condition().Err()
}

// answers reports whether what the folder does not hold can be said to be gone
// from it: not where its disk is in trouble.
func (b *Blobs) answers() bool {
	if b.dir.Condition() != dropdir.Fine {
		return false
	}
	if !b.dir.Answers() {
		b.blame(ErrFailing)
		return false
	}
	return true
}

// blame has the disk looked at where err is its fault.
func (b *Blobs) blame(err error) {
	if b.dir.Blame(err) {
		b.hints.poke()
	}
}

// isDisk reports whether it is the disk that takes nothing, whatever it is given.
func isDisk(err error) bool {
	return errors.Is(err, ErrAway) || errors.Is(err, ErrReadOnly) || errors.Is(err, ErrFailing)
}
