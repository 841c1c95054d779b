package node

import (
	"boucan/control"
)

// Policy implements control.Node.
func (o operator) Policy() control.Policy {
	l := o.n.library
	u, s := o.n.blobs.Usage(), l.space()
	p := l.ledger.policy
	out := control.Policy{
		Mirror: p.Mirror.String(), Include: append([]string{}, p.Include...), Exclude: append([]string{}, p.Exclude...),
		Quota: p.Quota, Reserve: u.Reserve, Free: u.Free, Room: l.ledger.roomForDrop(s), Full: l.ledger.limit(s),
	}
	var kept [classes]control.Kept
	kept, out.Coming = l.ledger.kept()
	out.Copies, out.Drops = kept[classCopy], kept[classDrop]
	out.Own = control.Kept{Files: u.Files, Bytes: u.Bytes}
	for _, k := range kept {
		out.Own.Files, out.Own.Bytes = max(0, out.Own.Files-k.Files), max(0, out.Own.Bytes-k.Bytes)
	}
	return out
}

// kept is how much of each class lies here, and what is promised.
func (g *ledger) kept() (kept [classes]control.Kept, coming int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range kept {
		kept[c] = control.Kept{Files: g.count[c], Bytes: g.here[c]}
	}
	return kept, g.coming + g.dropping
}
