package node

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Policy says what this box copies of others' files, and how much of the disk
// what it keeps for others may take. The zero value copies all that there is room
// for.
type Policy struct {
	Mirror  Mirror
	Include []string // patterns of names; where there are any, only what matches is copied
	Exclude []string // patterns of names that are not copied, whatever Include says
	Quota   int64    // bytes of drops, pinned files and copies together; 0 for as much as the disk takes
	Reserve int64    // bytes of free space that are never eaten; 0 for DefaultReserve
}

// DefaultReserve is the free space that is never eaten where nobody says how
// much, in bytes: a full disk under a memory-mapped store kills the process.
const DefaultReserve = 64 << 20

// Mirror is how much is copied without anybody's asking: MirrorAll, MirrorNone,
// or so many bytes of copies in all.
type Mirror int64

// The two ends of what is copied.
const (
	MirrorAll  Mirror = 0
	MirrorNone Mirror = -1
)

// String is how the command line writes it.
func (m Mirror) String() string {
	switch m {
	case MirrorAll:
		return "all"
	case MirrorNone:
		return "none"
	}
	return strconv.FormatInt(int64(m), 10)
}

// ParseMirror reads "all", "none" or a size.
func ParseMirror(s string) (Mirror, error) {
	switch strings.ToLower(s) {
	case "", "all":
		return MirrorAll, nil
	case "none":
		return MirrorNone, nil
	}
	n, err := ParseSize(s)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("mirror %q is not understood: say all, none, or how much, as in 10GB", s)
	}
	return Mirror(n), nil
}

// units of sizes. Those with an i are powers of 1024, the others of 1000, as
// disks and sticks are sold.
var units = map[string]float64{
	"": 1, "b": 1, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9, "t": 1e12, "tb": 1e12,
	"ki": 1 << 10, "kib": 1 << 10, "mi": 1 << 20, "mib": 1 << 20, "gi": 1 << 30, "gib": 1 << 30, "ti": 1 << 40, "tib": 1 << 40,
}

// maxSize is the largest size that is understood, in bytes.
const maxSize = 1 << 60

// ParseSize reads a size in bytes: "500MB", "1.5 GiB", "64000".
func ParseSize(s string) (int64, error) {
	s = strings.TrimSpace(s)
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit, known := units[strings.ToLower(strings.TrimSpace(s[len(digits):]))]
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || !known || !(n >= 0) || n*unit > maxSize || strings.ContainsAny(digits, "eExXpP_+") {
		return 0, fmt.Errorf("size %q is not understood: say for example 500MB, 10GB or 1.5TiB", s)
	}
	return int64(math.Round(n * unit)), nil
}

// reserve is the free space that is never eaten.
func (p Policy) reserve() int64 {
	if p.Reserve == 0 {
		return DefaultReserve
	}
	return p.Reserve
}

// marginMost is the largest margin, in bytes.
const marginMost = 1 << 30

// margin is how much of a limit copies leave free, so that a drop finds room at
// once: a sixteenth, at most 1 GiB.
func margin(limit int64) int64 { return min(limit/16, marginMost) }

// rules is a policy's patterns, ready to be used.
type rules struct {
	include, exclude patterns
}

// rules checks the policy.
func (p Policy) rules() (r rules, err error) {
	if p.Quota < 0 || p.Reserve < 0 || p.Mirror < MirrorNone {
		return rules{}, errors.New("quota, reserve and mirror cannot be negative")
	}
	if r.include, err = compile(p.Include); err != nil {
		return rules{}, fmt.Errorf("include: %w", err)
	}
	if r.exclude, err = compile(p.Exclude); err != nil {
		return rules{}, fmt.Errorf("exclude: %w", err)
	}
	return r, nil
}

// copies reports whether the patterns let a file of this name be copied.
func (r rules) copies(name string) bool {
	return !r.exclude.match(name) && (len(r.include) == 0 || r.include.match(name))
}
