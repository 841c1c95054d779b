//go:build race

package node

// The race detector looks for accesses without order, and finds them among as many
// nodes as the rules for crowds begin to hold with: what depends on numbers is seen
// without it. Each goroutine costs it much.
const (
	crowded  = allNear + 2
	growFrom = allNear + 1
	growTo   = allNear + 2
	crowds   = 1
)
