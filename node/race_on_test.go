//go:build race

package node

// The race detector looks for accesses without order, and finds them among fewer
// nodes and in fewer tries: what depends on numbers is seen without it. Each goroutine
// costs it much. A crowd is as large as without it: the rules for crowds are told by
// chance among fewer.
const (
	crowded  = 24
	growFrom = allNear + 1
	growTo   = allNear + 4
	crowds   = 1
)
