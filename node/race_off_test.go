//go:build !race

package node

// How many nodes the tests of crowds have. The race detector makes do with fewer
// (race_on_test.go).
const (
	crowded  = 24 // where there are to be more than connect with all
	growFrom = 20 // among so many, and among
	growTo   = 40 // so many, housekeeping is to cost the same
	crowds   = 4  // tried where one alone tells by chance
)
