package node

import (
	"boucan/replica"
)

// hello is what this node says when it meets a peer.
func (n *Node) hello() replica.Hello {
	h := replica.Hello{Clock: n.clock.Now().UnixMilli(), Source: n.clock.source(), Software: "boucan " + version}
	if r := n.card.Load(); r != nil {
		h.Card = r.Encode()
	}
	return h
}
