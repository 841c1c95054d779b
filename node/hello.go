package node

import (
	"boucan/replica"
)

// hello is what this node says when it meets a peer.
func (n *Node) hello() replica.Hello {
	h := replica.Hello{Clock: n.clock.Now().UnixMilli(), Source: replica.ClockSynced, Software: "boucan " + version}
	if n.clock.guessed() {
		h.Source = replica.ClockGuess
	}
	if r := n.card.Load(); r != nil {
		h.Card = r.Encode()
	}
	return h
}
