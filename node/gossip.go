package node

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"boucan/record"
	"boucan/replica"
)

// recordsTopic carries new records, each message one encoded record
// (spec/sync.md, "Push").
const recordsTopic = "boucan/records/1"

// gossip pushes new records to every peer in reach through gossipsub. It is a
// hint only: what it loses, reconciling brings.
type gossip struct {
	topic *pubsub.Topic
	sub   *pubsub.Subscription
}

// newGossip joins the topic. receive judges and takes in each record that
// comes; it runs on gossipsub's validation workers, several at once, which the
// gate counts: gossipsub does not wait for them when ctx ends.
func newGossip(ctx context.Context, h host.Host, running *gate, receive func(context.Context, []byte) (bool, error)) (*gossip, error) {
	quiet := slog.New(slog.DiscardHandler)
	ps, err := pubsub.NewGossipSub(ctx, h,
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), // a record carries its own signature
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithMaxMessageSize(4*record.MaxSize),
		pubsub.WithPeerOutboundQueueSize(256),
		pubsub.WithSubscriptionFilter(pubsub.WrapLimitSubscriptionFilter(
			pubsub.NewAllowlistSubscriptionFilter(recordsTopic), 8)),
		pubsub.WithLogger(quiet), pubsub.WithRPCLogger(quiet))
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	validate := func(ctx context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
		if from == h.ID() {
			return pubsub.ValidationAccept
		}
		if !running.enter() {
			return pubsub.ValidationIgnore
		}
		defer running.leave()
		return verdict(receive(ctx, m.GetData()))
	}
	if err := ps.RegisterTopicValidator(recordsTopic, validate); err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	topic, err := ps.Join(recordsTopic)
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	sub, err := topic.Subscribe()
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	return &gossip{topic: topic, sub: sub}, nil
}

// verdict tells gossipsub what to do with a message: pass a new record on,
// drop without blame what honest peers may send, blame for the rest.
func verdict(added bool, err error) pubsub.ValidationResult {
	switch {
	case err == nil && !added:
		return pubsub.ValidationIgnore
	case replica.Judge(err) == replica.Accept:
		return pubsub.ValidationAccept
	case replica.Judge(err) == replica.Reject:
		return pubsub.ValidationReject
	}
	return pubsub.ValidationIgnore
}

// run drains the subscription: the validator has already taken the records in.
func (g *gossip) run(ctx context.Context) error {
	defer g.sub.Cancel()
	for {
		if _, err := g.sub.Next(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("gossip: %w", err)
		}
	}
}

// Push implements replica.Pusher.
func (g *gossip) Push(ctx context.Context, raw []byte) error { return g.topic.Publish(ctx, raw) }

var _ replica.Pusher = (*gossip)(nil)

// audience is how many connected peers have joined the topic.
func (g *gossip) audience() int { return len(g.topic.ListPeers()) }

// messageID names a message by its bytes: a record has one encoding, so it is
// one message whoever pushes it.
func messageID(m *pb.Message) string {
	sum := sha256.Sum256(m.GetData())
	return string(sum[:])
}
