//go:build !linux && (boltstore || 386 || arm || mips || mipsle)

package store

// forget is never called: see mappedBytes.
func (e *boltEngine) forget() {}
