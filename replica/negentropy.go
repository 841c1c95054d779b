package replica

import (
	"slices"

	"boucan/record"
)

// How a range is cut where two sides differ: into this many parts, unless it has
// fewer than minSplit items, which are listed by id instead. Both are free choices
// of the side that writes (negentropy protocol v1); these are the ones every other
// implementation makes.
const (
	splitParts = 16
	minSplit   = 2 * splitParts
)

// frameSlack is the room left in a limited message for what may still have to be
// added when the limit is noticed: bounds, one split's last part, the fingerprint
// of the rest.
const frameSlack = 200

// difference is told what the initiator learns. have receives runs of neighbouring
// items of ours, first to last, that the peer lacks; need receives ids of theirs
// that we lack. Both are called while the order is locked, so they must be quick.
type difference interface {
	have(first, last item)
	need(id record.ID)
}

// reconciler speaks negentropy protocol v1 over one order. It holds no state
// between messages, so the order may change from one to the next; it must not
// change during a call.
type reconciler struct {
	// limit is the longest message to write, in bytes; 0 for no limit. What does
	// not fit is summed up and comes in a later round.
	limit int
}

// How the first message is cut: what two nodes lack of each other is mostly new,
// so the newest items get small ranges of their own, and all time after them an
// empty list, to which the peer answers with what it has there. The sizes were
// chosen by measuring (spec/sync.md, section 6).
const (
	newestRange = 25  // items in the newest range
	growth      = 4   // each range before it has so many times more
	newRanges   = 3   // ranges of their own
	oldRanges   = 8   // equal ranges for all that is older
	minRecent   = 800 // items from which this pays; fewer are cut evenly
)

// begin writes the initiator's first message.
func (r reconciler) begin(o *order) []byte {
	n := o.size()
	if n < minRecent {
		return beginEvenly(o)
	}
	ends := make([]int, 0, oldRanges+newRanges)
	old := n
	for i, size := 0, newestRange; i < newRanges; i, size = i+1, size*growth {
		ends = append(ends, old)
		old -= size
	}
	for part := oldRanges; part > 0; part-- {
		ends = append(ends, old*part/oldRanges)
	}
	w := newSpanWriter()
	lo := 0
	for _, hi := range slices.Backward(ends) {
		w.fingerprint(boundAt(o, hi), o.fingerprint(lo, hi))
		lo = hi
	}
	w.ids(endBound, o, n, n)
	return w.msg
}

// beginEvenly writes the first message that every other implementation writes.
func beginEvenly(o *order) []byte {
	w := newSpanWriter()
	split(w, o, 0, o.size(), endBound)
	return w.msg
}

// boundAt is a bound between items i-1 and i, where i may be past the last.
func boundAt(o *order, i int) bound {
	if i < o.size() {
		return boundBetween(o.at(i-1), o.at(i))
	}
	return bound{item: item{created: o.at(i-1).created + 1}}
}

// answer is the responder's side: it writes the reply to one message.
func (r reconciler) answer(o *order, msg []byte) ([]byte, error) {
	if len(msg) == 0 || msg[0] < negentropyLeast || msg[0] > negentropyMost {
		return nil, errNegentropy
	}
	if msg[0] != negentropyV1 {
		return []byte{negentropyV1}, nil // "the highest version it supports"
	}
	return r.round(o, msg, nil)
}

// learn is the initiator's side: it reports what a reply tells and writes the next
// message, nil when the two sets are known through and through.
func (r reconciler) learn(o *order, msg []byte, d difference) ([]byte, error) {
	if len(msg) == 0 || msg[0] != negentropyV1 {
		return nil, errNegentropy
	}
	next, err := r.round(o, msg, d)
	if err != nil || len(next) == 1 {
		return nil, err
	}
	return next, nil
}

// round works through the ranges of a message. d is nil for the responder.
func (r reconciler) round(o *order, msg []byte, d difference) ([]byte, error) {
	in, out := &spanReader{rest: msg[1:]}, &reply{reconciler: r, order: o, out: newSpanWriter()}
	for in.more() {
		s, err := in.next()
		if err != nil {
			return nil, err
		}
		lo, hi := out.from, max(out.from, o.lowerBound(s.upper.item))
		switch {
		case s.mode == modeIDs && d != nil:
			compareIDs(o, lo, hi, s.ids, d)
			out.settled = true
		case s.mode == modeIDs:
			hi = out.list(hi, s.upper)
		case s.mode == modeFingerprint && s.fingerprint != o.fingerprint(lo, hi):
			out.split(hi, s.upper)
		default:
			out.settled = true
		}
		if out.full {
			// The rest is summed up from the end of this range, as every other
			// implementation does. Where this range was left out, the sum cannot
			// match what the peer has here, so the range comes up again.
			out.out.fingerprint(endBound, o.fingerprint(hi, o.size()))
			break
		}
		out.from, out.begin = hi, s.upper
	}
	return out.out.msg, nil
}

// reply is a message being written in answer to another.
type reply struct {
	reconciler
	order *order
	out   *spanWriter
	from  int   // index of the first item of the range at hand
	begin bound // where that range begins
	// settled says that ranges before it need no more words, which is not yet
	// written.
	settled bool
	full    bool // the limit is reached
}

func (w *reply) writeSettled() {
	if w.settled {
		w.out.skip(w.begin)
	}
	w.settled = false
}

// list answers a list of ids with ours, as many as fit, and returns the index of the
// first that is left out, or hi.
func (w *reply) list(hi int, upper bound) int {
	if fits := w.idsThatFit(len(w.out.msg)); hi-w.from > fits {
		hi = w.from + fits
		upper = bound{item: w.order.at(hi), n: idSize}
	}
	w.writeSettled()
	w.out.ids(upper, w.order, w.from, hi)
	w.full = w.over(w.out.msg)
	return hi
}

// split answers a fingerprint that differs. What does not fit is left out whole.
func (w *reply) split(hi int, upper bound) {
	mark := len(w.out.msg)
	w.writeSettled()
	split(w.out, w.order, w.from, hi, upper)
	if w.full = w.over(w.out.msg); w.full {
		w.out.msg = w.out.msg[:mark]
	}
}

// over reports whether a message has reached its limit.
func (r reconciler) over(msg []byte) bool { return r.limit > 0 && len(msg) > r.limit-frameSlack }

// idsThatFit is how many ids may follow in a message that is size long and not full.
func (r reconciler) idsThatFit(size int) int {
	if r.limit == 0 {
		return int(^uint(0) >> 1)
	}
	return (r.limit-frameSlack-size)/idSize + 1
}

// split describes the items from lo up to but not including hi.
func split(w *spanWriter, o *order, lo, hi int, upper bound) {
	n := hi - lo
	if n < minSplit {
		w.ids(upper, o, lo, hi)
		return
	}
	each, extra := n/splitParts, n%splitParts
	for part := range splitParts {
		end := lo + each
		if part < extra {
			end++
		}
		to := upper
		if end < hi {
			to = boundAt(o, end)
		}
		w.fingerprint(to, o.fingerprint(lo, end))
		lo = end
	}
}

// compareIDs compares our items from lo up to but not including hi with the ids
// that the peer lists for the same range.
func compareIDs(o *order, lo, hi int, ids []byte, d difference) {
	if len(ids) == 0 {
		if lo < hi {
			d.have(o.at(lo), o.at(hi-1))
		}
		return
	}
	theirs := make(map[record.ID]struct{}, len(ids)/idSize)
	for i := 0; i < len(ids); i += idSize {
		theirs[record.ID(ids[i:])] = struct{}{}
	}
	var first, last item
	open := false
	for _, it := range o.all(lo, hi) {
		_, both := theirs[it.id]
		delete(theirs, it.id)
		switch {
		case both && open:
			d.have(first, last)
			open = false
		case !both && !open:
			first, open = it, true
		}
		last = it
	}
	if open {
		d.have(first, last)
	}
	for i := 0; i < len(ids) && len(theirs) > 0; i += idSize {
		id := record.ID(ids[i:])
		if _, ok := theirs[id]; ok {
			delete(theirs, id)
			d.need(id)
		}
	}
}
