package node

import (
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"

	"boucan/replica"
)

// newResourceManager sets libp2p's limits from the profile. Its defaults grow
// with memory and know nothing of how many connections a small machine stands,
// and they count connections per /56 of IPv6, where every neighbour on a link is
// in fe80::/64.
func newResourceManager(p Profile) (network.ResourceManager, error) {
	scaling := rcmgr.DefaultLimits
	scaled := scaling.Scale(p.NetworkMemory, p.Connections)
	own := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			// What peers begin leaves room for what this node begins.
			Conns: rcmgr.LimitVal(p.Connections), ConnsInbound: rcmgr.LimitVal(p.Connections * 3 / 4),
			ConnsOutbound: rcmgr.LimitVal(p.Connections), FD: rcmgr.LimitVal(p.Connections + dialsAtOnce),
			Memory: rcmgr.LimitVal64(p.NetworkMemory),
		},
	}
	perHost := []rcmgr.ConnLimitPerSubnet{{ConnCount: 16, PrefixLength: 32}}
	perHost6 := []rcmgr.ConnLimitPerSubnet{{ConnCount: 16, PrefixLength: 128}}
	arrivals := &rate.Limiter{SubnetRateLimiter: rate.SubnetLimiter{
		IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: rate.Limit{RPS: 1, Burst: 32}}},
		IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 128, Limit: rate.Limit{RPS: 1, Burst: 32}}},
		GracePeriod:      time.Minute,
	}}
	m, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(own.Build(scaled)), rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(perHost, perHost6), rcmgr.WithConnRateLimiters(arrivals))
	if err != nil {
		return nil, fmt.Errorf("resource manager: %w", err)
	}
	return m, nil
}

// recordLimits is how much the set of records may hold. A file's record takes
// some 700 bytes of memory here, in the set and in the catalogue. One author has
// room for the 20,000 files of a good collection.
func (p Profile) recordLimits() replica.Limits {
	const leastAuthor = 30_000
	author := max(p.Records/5, leastAuthor)
	return replica.Limits{
		Records: p.Records, Bytes: int64(p.Records) << 10,
		AuthorRecords: author, AuthorBytes: int64(author) << 10, AuthorTakedowns: author / 2,
	}
}
