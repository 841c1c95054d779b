package node

import (
	"context"
	"slices"

	"boucan/chat"
	"boucan/control"
)

// History goes through as many pages of the room as it takes.
func (o operator) History(_ context.Context, room string, limit int) ([]control.Message, error) {
	var out []control.Message
	var before chat.Cursor
	for len(out) < limit {
		list, err := o.n.hub.History(room, before, min(limit-len(out), chat.MaxHistory))
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			break
		}
		before = chat.Cursor{Created: list[0].At.UnixMilli(), ID: list[0].ID}
		for _, m := range slices.Backward(list) {
			out = append(out, chatLine(m))
		}
	}
	slices.Reverse(out)
	return out, nil
}

func (o operator) Say(ctx context.Context, room, nick, text string) (control.Message, error) {
	m, err := o.n.hub.Post(ctx, chat.Draft{Room: room, Nick: nick, Text: text})
	if err != nil {
		return control.Message{}, err
	}
	return chatLine(m), nil
}

// Follow listens before it reads what was said, so that nothing falls between,
// and begins again where it fell too far behind.
func (o operator) Follow(ctx context.Context, room string, last int, each func(control.Message) error) error {
	known := newLately(2 * control.MaxHistory)
	for again := false; ctx.Err() == nil; again = true {
		sub, err := o.n.hub.Subscribe(room)
		if err != nil {
			return err
		}
		earlier, err := o.History(ctx, room, max(last, chat.MaxHistory))
		for i, m := range earlier {
			if known.add(m.ID) && (again || i >= len(earlier)-last) && err == nil {
				err = each(m)
			}
		}
		if err == nil {
			err = follow(ctx, sub, known, each)
		}
		sub.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// follow tells of new messages until ctx or the subscription ends.
func follow(ctx context.Context, sub *chat.Subscription, known *lately, each func(control.Message) error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-sub.C:
			if !ok {
				return nil
			}
			if m := chatLine(e.Message); !e.Withdrawn && known.add(m.ID) {
				if err := each(m); err != nil {
					return err
				}
			}
		}
	}
}

// lately remembers the last ids that it was told of.
type lately struct {
	most int
	ids  map[string]struct{}
	list []string // oldest first
}

func newLately(most int) *lately { return &lately{most: most, ids: make(map[string]struct{})} }

// add reports whether the id is new.
func (l *lately) add(id string) bool {
	if _, ok := l.ids[id]; ok {
		return false
	}
	if len(l.list) == l.most {
		delete(l.ids, l.list[0])
		l.list = l.list[1:]
	}
	l.ids[id] = struct{}{}
	l.list = append(l.list, id)
	return true
}

func chatLine(m chat.Message) control.Message {
	return control.Message{ID: m.ID.String(), Room: m.Room, Nick: m.Nick, Text: m.Text, Box: m.Box, At: m.At}
}
