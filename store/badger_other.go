//go:build !linux && !boltstore && !386 && !arm && !mips && !mipsle

package store

import "errors"

// forget is never called: see mappedBytes.
func (e *badgerEngine) forget() {}

// allocate cannot: this system has no fallocate(2), or hides it.
func allocate(string, int, int64) error { return errors.ErrUnsupported }
