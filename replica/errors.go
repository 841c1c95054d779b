package replica

import (
	"errors"

	"boucan/record"
)

// The ways in which a record that is well formed is not taken in. Callers test
// them with errors.Is, beside the errors of package record.
var (
	ErrHave      = errors.New("record is already here")
	ErrTakenDown = errors.New("record has been taken down")
	ErrBlocked   = errors.New("record is blocked on this node")
	ErrQuota     = errors.New("author has reached their share")
	ErrFull      = errors.New("set of records is full")
	ErrRate      = errors.New("records of an author come too fast")
)

// The ways in which a block is refused: MaxBlocks or MaxBlockedNames are there
// already, or the pattern is empty, longer than MaxPattern or would hide every name.
var (
	ErrTooManyBlocks = errors.New("too many authors, files and names are blocked")
	ErrPattern       = errors.New("pattern of names is empty, too long or matches everything")
)

// Verdict is what a relay should do with a record that it heard.
type Verdict int

// Accept relays a record, Ignore drops it without a word, Reject drops it and
// counts against whoever sent it.
const (
	Accept Verdict = iota
	Ignore
	Reject
)

// Judge turns what Receive or Add returned for a record into a verdict. Only what
// no honest peer can have sent is rejected: an honest peer checks every record
// before it passes it on (spec/records.md, section 7), but it may hold a record that
// this node blocks, have another idea of the time, or speak a later version too. An
// error of the store, or any that is unknown here, is no fault of the sender either.
func Judge(err error) Verdict {
	switch {
	case err == nil:
		return Accept
	case errors.Is(err, record.ErrTooLarge), errors.Is(err, record.ErrMalformed),
		errors.Is(err, record.ErrTimes), errors.Is(err, record.ErrSignature), errors.Is(err, record.ErrBody):
		return Reject
	default:
		return Ignore
	}
}

// reason is the constant text for the log of an error that refused a record.
func reason(err error) string {
	for _, known := range []error{
		ErrHave, ErrTakenDown, ErrBlocked, ErrQuota, ErrFull, ErrRate, record.ErrTooLarge, record.ErrMalformed,
		record.ErrVersion, record.ErrTimes, record.ErrSignature, record.ErrBody, record.ErrExpired, record.ErrFuture,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "other"
}
