package node

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
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
	{Name: "router", StoreCache: 8 << 20, NetworkMemory: 24 << 20, Connections: 64, Records: 100_000, Soft: 40 << 20, HashWorkers: 1, Scrub: 1 << 20, Chunks: 6, Garbage: 50},
	{Name: "board", StoreCache: 16 << 20, NetworkMemory: 64 << 20, Connections: 192, Records: 150_000, Soft: 96 << 20, Scrub: 4 << 20, Chunks: 8, Garbage: 50},
	{Name: "server", StoreCache: 16 << 20, NetworkMemory: 256 << 20, Connections: 768, Records: 1_000_000, Scrub: 16 << 20, Chunks: 8, Garbage: 50},
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

const (
	// softEvery is how often the soft limit is held against what is in use; at the
	// start, where that changes most, it is from softSoon on.
	softEvery = 30 * time.Second
	softSoon  = time.Second
	// softRoom is what there is to be between what is in use and the soft limit at
	// least, in bytes, besides an eighth of that, so that the collector has a rest
	// between two runs.
	softRoom = 4 << 20
)

// softLimit is the limit of memory in bytes where so many bytes are in use, and
// the runtime takes so many besides. A limit below that frees nothing: the
// collector would run without a pause and take a third of the processor for ever.
func (p Profile) softLimit(inUse, besides int64) int64 {
	return max(p.Soft, inUse+inUse/8+besides+softRoom)
}

// follow holds the soft limit against what the collector found in use.
func (p Profile) follow() {
	if p.Soft == 0 || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	m := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
	}
	metrics.Read(m)
	of := func(i int) int64 { return int64(m[i].Value.Uint64()) }
	if limit := p.softLimit(of(0), of(1)-of(2)-of(3)-of(4)); limit != debug.SetMemoryLimit(-1) {
		debug.SetMemoryLimit(limit)
	}
}

// keep follows until ctx ends.
func (p Profile) keep(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for wait := softSoon; ; wait = min(2*wait, softEvery) {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		p.follow()
		timer.Reset(wait)
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
