//go:build !linux

package alone

import "testing"

// Run is m.Run.
func Run(m *testing.M) int { return m.Run() }

// Split is m.Run.
func Split(m *testing.M, _ int) int { return m.Run() }
