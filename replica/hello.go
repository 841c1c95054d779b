package replica

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"boucan/record"
)

// ClockSource says how a node knows the time. A greater one is better.
type ClockSource uint8

// The sources, least trusted first.
const (
	ClockGuess    ClockSource = iota // saved time, build time, nothing better
	ClockVisitor                     // a visitor's browser
	ClockPeers                       // several peers agreed
	ClockOperator                    // the operator's browser
	ClockSynced                      // NTP, or a clock with a battery
)

// Hello is what two nodes tell each other when they meet. Nothing of it is signed
// but the card.
type Hello struct {
	Clock    int64       // the speaker's time, in Unix milliseconds
	Source   ClockSource // how it is known
	Hops     int         // where peers agreed: boxes between the speaker and one that knows by itself
	Software string      // program and version, at most record.MaxSoftware bytes
	Card     []byte      // the speaker's newest encoded card, or nothing
}

// protocolVersion is that of the protocol's minor changes; a later one may say more
// in its hello.
const protocolVersion = 1

// maxHops stands for itself and all that is more.
const maxHops = 255

// errHello is any hello that the protocol does not allow.
var errHello = errors.New("hello is malformed")

// helloBody is a hello on the wire: a CBOR map (RFC 8949). Keys that are unknown
// here are of later versions and are passed over.
type helloBody struct {
	Version  uint64 `cbor:"1,keyasint"`
	Clock    uint64 `cbor:"2,keyasint"`
	Source   uint64 `cbor:"3,keyasint"`
	Software string `cbor:"4,keyasint,omitempty"`
	Card     []byte `cbor:"5,keyasint,omitempty"`
	Hops     uint64 `cbor:"6,keyasint,omitempty"`
}

// helloCodec reads and writes hellos.
type helloCodec struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

func newHelloCodec() helloCodec {
	enc, err := cbor.EncOptions{Sort: cbor.SortCoreDeterministic}.EncMode()
	if err != nil {
		panic(err) // the options are constants; a wrong one fails every test
	}
	dec, err := cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		UTF8:             cbor.UTF8RejectInvalid,
		MaxNestedLevels:  4,
		MaxArrayElements: 16,
		MaxMapPairs:      16,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return helloCodec{enc, dec}
}

// encode writes h. What breaks a limit is cut or left out.
func (c helloCodec) encode(h Hello) ([]byte, error) {
	body := helloBody{
		Version: protocolVersion, Clock: uint64(min(max(h.Clock, 0), record.MaxTime)),
		Source: uint64(h.Source), Hops: uint64(min(max(h.Hops, 0), maxHops)), Software: record.CleanLine(h.Software, record.MaxSoftware),
	}
	if len(h.Card) <= record.MaxSize {
		body.Card = h.Card
	}
	b, err := c.enc.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode hello: %w", err)
	}
	return b, nil
}

// decode reads a hello. A clock source that is unknown here counts as a guess.
func (c helloCodec) decode(b []byte) (Hello, error) {
	if len(b) > MaxHello {
		return Hello{}, errHello
	}
	var body helloBody
	if err := c.dec.Unmarshal(b, &body); err != nil {
		return Hello{}, fmt.Errorf("%w: %w", errHello, err)
	}
	if body.Version < protocolVersion || body.Clock > record.MaxTime || len(body.Card) > record.MaxSize ||
		record.CleanLine(body.Software, record.MaxSoftware) != body.Software {
		return Hello{}, errHello
	}
	h := Hello{Clock: int64(body.Clock), Software: body.Software, Card: body.Card, Hops: int(min(body.Hops, maxHops))}
	if body.Source <= uint64(ClockSynced) {
		h.Source = ClockSource(body.Source)
	}
	return h, nil
}
