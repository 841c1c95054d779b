package node

import (
	"context"
	"errors"

	"boucan/record"
)

// listener hears of changes of the record set and passes each to the part that
// shows it. It implements replica.Listener.
type listener struct{ n *Node }

func (l listener) Changed(added, removed []*record.Record) {
	l.n.library.take(added, removed)
	for _, r := range added {
		if r.Kind == record.KindMessage {
			l.n.hub.Deliver(r)
		}
	}
	for _, r := range removed {
		if r.Kind == record.KindMessage {
			l.n.hub.Withdraw(r)
		}
	}
}

// pusher hands new records to gossip once that runs. It implements
// replica.Pusher.
type pusher struct{ n *Node }

func (p pusher) Push(ctx context.Context, raw []byte) error {
	g := p.n.gossip.Load()
	if g == nil {
		return nil // nobody is connected yet; reconciling brings it
	}
	if err := g.Push(ctx, raw); err != nil {
		return err
	}
	if g.audience() < p.n.peers.connected() {
		return errDeaf
	}
	return nil
}

// errDeaf says that a push cannot have reached everybody: a peer is connected
// whose gossip has not joined yet. The record set then reconciles soon.
var errDeaf = errors.New("a connected peer does not hear pushes yet")
