//go:build cpuprofile

package main

import (
	"fmt"
	"os"
	"runtime/pprof"
)

// profileCPU writes what the processor does to a file whose name begins as
// BOUCAN_CPU_PROFILE says, for bench/replicate.
func profileCPU() (stop func()) {
	path := os.Getenv("BOUCAN_CPU_PROFILE")
	if path == "" {
		return func() {}
	}
	f, err := os.Create(fmt.Sprintf("%s-%d.pprof", path, os.Getpid()))
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "boucan:", err)
		return func() {}
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}
}
