//go:build !cpuprofile

package main

// profileCPU does nothing in the program as it is released.
func profileCPU() (stop func()) { return func() {} }
