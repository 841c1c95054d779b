package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"boucan/control"
	"boucan/record"
	"boucan/replica"
)

// Clock implements control.Node, as does SetClock.
func (o operator) Clock() control.Clock {
	out := o.n.clock.report()
	for i := range out.Peers {
		if key, err := record.ParseKey(out.Peers[i].ID); err == nil {
			out.Peers[i].Name = o.n.boxName(key)
		}
	}
	slices.SortFunc(out.Peers, func(a, b control.PeerClock) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return out
}

func (o operator) SetClock(_ context.Context, now time.Time) error {
	if err := o.n.clock.told(now); err != nil {
		return err
	}
	return operatorError(o.n.clock.save())
}

// told takes the operator's word for the time.
func (c *clock) told(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.synced:
		return errors.New("this machine's clock is kept right by NTP or the like, and counts for more; nothing was changed")
	case c.right(c.system()):
		return errors.New("this machine has a clock with a battery, which counts for more: set that one, with date and hwclock")
	case now.Before(c.build):
		return fmt.Errorf("that is before this program was made (%s): look at the date again", c.build.UTC().Format(time.DateOnly))
	case now.After(timeOf(record.MaxTime).Add(-2 * record.KindFile.MaxLife())):
		return errors.New("that is too far ahead: look at the date again")
	}
	c.set(word{time: now, source: replica.ClockOperator})
	c.settle()
	return nil
}

// report is what an operator may know of the clock.
func (c *clock) report() control.Clock {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.best()
	out := control.Clock{Time: w.time, Source: sourceName(w.source), Hops: w.hops, System: c.system(), Peers: []control.PeerClock{}}
	voices := make(map[record.Key]bool)
	for _, v := range c.votes.list() {
		voices[v.key] = true
	}
	for _, v := range c.votes.by {
		out.Peers = append(out.Peers, control.PeerClock{
			ID: v.key.String(), Ahead: v.now().Sub(w.time).Milliseconds(), Source: sourceName(v.source), Hops: v.hops, Voice: voices[v.key],
		})
	}
	return out
}
