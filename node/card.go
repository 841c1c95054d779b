package node

import (
	"context"
	"time"

	"boucan/record"
	"boucan/replica"
)

const (
	// cardLife is how long a card lives: the longest there is, so that files
	// keep the name of their box a while after it has left.
	cardLife = 7 * 24 * time.Hour
	// cardAge is the age at which a card is renewed although it says nothing new,
	// cardRest the least time between two that say something new.
	cardAge  = 24 * time.Hour
	cardRest = time.Hour
	// cardLook is how often it is seen whether there is something new to say.
	cardLook = time.Minute
)

// keepCard publishes what this node says about itself, whenever that has
// changed and now and then, until ctx ends.
func (n *Node) keepCard(ctx context.Context) error {
	tick := time.NewTicker(cardLook)
	defer tick.Stop()
	for {
		if err := n.freshenCard(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("publishing this node's card failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// freshenCard publishes a card where the present one will not do.
func (n *Node) freshenCard(ctx context.Context) error {
	now := n.clock.Now()
	files, bytes := n.library.names.offers()
	card := record.Card{Name: n.name, Software: "boucan " + version, Files: uint64(files), Bytes: bytes}
	if r := n.card.Load(); r != nil {
		said, err := r.Card()
		age := now.Sub(timeOf(r.Created))
		named := err == nil && said.Name == card.Name && said.Software == card.Software
		// That there are files at all is told soon: at its first start a box
		// has none.
		if named && age > -record.MaxSkew && age < cardAge && (said == card || age < cardRest && said.Files > 0) {
			return nil
		}
	}
	r, err := n.key.sign(record.Draft{Created: now, Life: cardLife, Body: card})
	if err != nil {
		return err
	}
	if err := n.records.Publish(ctx, r); err != nil {
		return err
	}
	n.card.Store(r)
	return nil
}

// loadCard finds the newest card that an earlier run has left.
func (n *Node) loadCard() error {
	var cursor replica.Cursor
	for {
		recs, err := n.records.Newest(record.KindCard, cursor, replica.MaxPage)
		if err != nil {
			return err
		}
		for _, r := range recs {
			if r.Author == n.key.Key() {
				n.card.Store(r)
				return nil
			}
		}
		if len(recs) < replica.MaxPage {
			return nil
		}
		cursor = replica.CursorOf(recs[len(recs)-1])
	}
}
