package node

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// Profile sets memory, cache and connection limits to the size of the machine.
type Profile struct {
	Name          string
	StoreCache    int64 // bytes for the store's tables and caches
	NetworkMemory int64 // bytes that all peers together may make libp2p hold
	Connections   int   // connections with peers at once
	Records       int   // files, messages and whatever else is replicated
	Soft          int64 // bytes at which Go's collector works harder, 0 for never
	HashWorkers   int   // chunks hashed at once, 0 for one a processor
	Scrub         int64 // bytes a second that the scrub reads at most
	Chunks        int   // of what is being fetched, held at once, of 1 MiB
	Garbage       int   // percent of what is in use, that may come to it before the collector works
}

// profiles, smallest first. Soft is GOMEMLIMIT: it leaves room on a machine of
// that size for the system and its file cache.
var profiles = []Profile{
	{Name: "router", StoreCache: 8 << 20, NetworkMemory: 24 << 20, Connections: 64, Records: 40_000, Soft: 40 << 20, HashWorkers: 1, Scrub: 1 << 20, Chunks: 6, Garbage: 50},
	{Name: "board", StoreCache: 16 << 20, NetworkMemory: 64 << 20, Connections: 192, Records: 150_000, Soft: 96 << 20, Scrub: 4 << 20, Chunks: 8, Garbage: 50},
	{Name: "server", StoreCache: 32 << 20, NetworkMemory: 256 << 20, Connections: 768, Records: 1_000_000, Scrub: 16 << 20, Chunks: 8, Garbage: 50},
}

// ChooseProfile returns the profile of that name, or for "" and "auto" the one
// that suits this machine's memory: router under 384 MB, board under 2 GB.
func ChooseProfile(name string) (Profile, error) {
	if name == "" || name == "auto" {
		switch total := machineMemory(); {
		case total > 0 && total < 384<<20:
			name = "router"
		case total > 0 && total < 2<<30:
			name = "board"
		default:
			name = "server"
		}
	}
	for _, p := range profiles {
		if p.Name == name {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("unknown profile %q: choose router, board or server", name)
}

// apply sets the process-wide limits of memory, unless GOGC and GOMEMLIMIT
// already do.
func (p Profile) apply() {
	if p.Garbage > 0 && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(p.Garbage)
	}
	if p.Soft > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(p.Soft)
	}
}

// machineMemory is the machine's memory in bytes (Linux: proc(5), meminfo), 0
// where it cannot be told.
func machineMemory() int64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		rest, ok := strings.CutPrefix(line, "MemTotal:")
		if !ok {
			continue
		}
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			return 0
		}
		kb, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			return 0
		}
		return kb << 10
	}
	return 0
}
