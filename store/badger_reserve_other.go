//go:build !linux && !boltstore && !386 && !arm && !mips && !mipsle

package store

import "errors"

// reserve cannot: this system has no fallocate(2), or hides it.
func reserve(string, int64) error { return errors.ErrUnsupported }
