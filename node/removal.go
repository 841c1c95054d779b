package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"boucan/record"
	"boucan/share"
)

// signedClaim is one living record that offers certain bytes, and whose it is.
type signedClaim struct {
	claim
	author record.Key
}

// errNothing says that there was nothing to take down.
var errNothing = errors.New("nothing to take down")

// takeDown hides the files that visitors and boxes offer with these bytes, all of
// them or only those under one name: as their author what this node issued, as
// moderator the rest. A file of this box's own folder goes with its last offer: the
// operator said so. It returns when the takedowns are durable; the bytes follow.
func (l *library) takeDown(ctx context.Context, cid record.CID, name string) (gone []signedClaim, err error) {
	err = l.oneByOne(ctx, func() error {
		gone = l.names.offerings(cid, name)
		if len(gone) == 0 {
			return errNothing
		}
		going := make(map[record.ID]bool, len(gone))
		claims := make([]claim, 0, len(gone))
		shared := false
		for _, o := range gone {
			going[o.id] = true
			claims = append(claims, o.claim)
			shared = shared || o.operator && o.author == l.key.Key()
		}
		mine, _ := l.names.own(cid)
		for _, c := range mine {
			shared = shared && (going[c.id] || !c.operator)
		}
		if shared {
			// From here on it stays only as long as a record names it. Should
			// the plug be pulled before the takedown, the note is taken back.
			if err := l.guests.mark(cid); err != nil {
				return err
			}
		}
		return l.withdraw(ctx, claims)
	})
	return gone, err
}

// undoable lists what an undo code is for, on whichever box it was dropped.
func (l *library) undoable(code record.UndoCode) ([]*record.Record, error) {
	recs, err := l.records.Undoable(code.Record[:], code.Secret[:])
	if err == nil && len(recs) == 0 {
		// It may have been dated anew since the code was given out.
		if id, ok, failed := l.redates.find(code.Record[:]); failed != nil {
			err = failed
		} else if ok {
			recs, err = l.records.Undoable(id[:], code.Secret[:])
		}
	}
	if err == nil && len(recs) == 0 {
		err = errNothing
	}
	return recs, err
}

// undo takes down what undoable lists: whoever has the code dropped the thing.
func (l *library) undo(ctx context.Context, code record.UndoCode, recs []*record.Record) error {
	drafts := make([]record.Draft, 0, len(recs))
	for _, r := range recs {
		drafts = append(drafts, l.takedownOf(r.ID(), r.Created, r.Expires, code.Secret[:]))
	}
	return l.publish(ctx, drafts...)
}

// takedownOf is the draft of a takedown that lives as long as its target.
func (l *library) takedownOf(id record.ID, created, expires int64, secret []byte) record.Draft {
	return record.Draft{
		Created: timeOf(max(min(l.clock.Now().UnixMilli(), expires-1), created)), Expires: timeOf(expires),
		Body: record.Takedown{Target: id, Secret: secret},
	}
}

// mayOffer reports whether this box may offer a file of its operator's: not what the
// operator blocked, nor what a moderator took down whom the operator trusts.
func (l *library) mayOffer(f record.File) bool {
	return !l.withheld.has(f.CID) && !l.records.Blocked(f)
}

// withhold notes that a record was taken down by which this box's operator offered
// a file, unless this box did it itself. It is called before the file can look like
// one that was never offered.
func (l *library) withhold(id record.ID, cid record.CID) {
	by, hidden, err := l.records.HiddenBy(id, l.key.Key())
	if err == nil && hidden && by != l.key.Key() {
		err = l.withheld.note(cid, hiding{by: by, record: id})
	}
	if err != nil {
		l.log.Error("a file that a moderator took down may be offered again", "error", err)
	}
}

// distrusted has this box offer again what a key withheld whose takedowns do not
// hold any more.
func (l *library) distrusted(k record.Key) error {
	for cid, id := range l.withheld.by(k) {
		_, hidden, err := l.records.HiddenBy(id, k)
		if err != nil {
			return err
		}
		if !hidden {
			if err := l.withheld.strike(cid); err != nil {
				return err
			}
		}
	}
	l.lookAtAll()
	return nil
}

// lookAtAll has run bring folder and records in step.
func (l *library) lookAtAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// dropped is a drop, and the code that takes it back where there is one.
type dropped struct {
	share.Dropped
	undo string
}

// listDrop offers what a visitor dropped, with a secret to take it back by. Each
// drop has a record of its own, also of bytes that are offered already: whoever
// was told that they are here must not lose them when another takes theirs back.
//
// A secret that the visitor chose names the attempt: the same again adds nothing.
func (l *library) listDrop(ctx context.Context, d share.Dropped, note record.File, t terms) (string, error) {
	secret := record.NewSecret()
	if t.secret != nil {
		secret = *t.secret
	}
	draft := l.fresh(note)
	if t.life > 0 {
		draft.Life = min(t.life, fileLife)
	}
	draft.Undo = record.UndoHash(secret[:])
	if (d.Already || d.Again) && t.secret != nil {
		before, err := l.records.ByCID(d.CID)
		if err != nil {
			return "", err
		}
		for _, r := range before {
			f, err := r.File()
			if err == nil && r.Author == l.key.Key() && f.Name == note.Name && bytes.Equal(r.Undo, draft.Undo) {
				return record.UndoCodeFor(r.ID(), secret).String(), nil
			}
		}
	}
	r, err := l.key.sign(draft)
	if err != nil {
		return "", fmt.Errorf("offer file: %w", err)
	}
	if d.Already {
		err = l.records.Publish(ctx, r)
	} else {
		// Both at the same time, since the store writes them with one sync.
		marked := make(chan error, 1)
		go func() { marked <- l.guests.mark(d.CID) }()
		err = errors.Join(l.records.Publish(ctx, r), <-marked)
	}
	if err != nil {
		return "", err
	}
	return record.UndoCodeFor(r.ID(), secret).String(), nil
}
