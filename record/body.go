package record

import (
	"bytes"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Limits of the bodies, in bytes unless said otherwise (spec/records.md,
// section 4).
const (
	MaxName        = 1024 // of a file: the whole path with its slashes
	MaxNamePart    = 255  // of one path element
	MaxMediaType   = 127
	MaxDescription = 2000
	MaxRoom        = 64
	MaxNick        = 64
	MaxMessage     = 4000
	MaxTitle       = 200
	MaxPost        = 12000
	MaxReason      = 400
	MaxSecret      = 64
	MaxNodeName    = 64
	MaxAbout       = 2000
	MaxSoftware    = 64
	// MaxBlob is the largest file, in bytes (256 GiB): its list of chunk
	// hashes is then 8 MiB, which a small router can hold.
	MaxBlob = 256 << 30
	// MaxCount is the largest number a card may state: it fits an int64.
	MaxCount = 1<<63 - 1
)

// Body is what a record of a known kind says.
type Body interface {
	// Kind is the kind of record that carries this body.
	Kind() Kind
	// Check reports ErrBody, wrapped with the reason, where a limit is broken.
	// It is pure and may be called from any goroutine.
	Check() error
}

// Cleaned says what happened to identifying metadata before the CID was taken.
type Cleaned uint64

// The zero value says that nobody looked, as with a file from the folder.
const (
	CleanedUnknown Cleaned = iota // not looked at
	CleanedDone                   // identifying metadata was removed
	CleanedNothing                // there was nothing to remove
	CleanedCannot                 // the format cannot be cleaned
	CleanedKept                   // the dropper chose to keep it
)

// File offers the bytes of one file.
type File struct {
	Name        string  `cbor:"1,keyasint"` // path with forward slashes, as CheckName wants
	CID         CID     `cbor:"2,keyasint"`
	Size        uint64  `cbor:"3,keyasint"`           // bytes
	MediaType   string  `cbor:"4,keyasint,omitempty"` // RFC 6838, may be empty
	Modified    uint64  `cbor:"5,keyasint,omitempty"` // Unix milliseconds, 0 where unknown
	Description string  `cbor:"6,keyasint,omitempty"`
	Cleaned     Cleaned `cbor:"7,keyasint,omitempty"`
	// Room is the room a picture was dropped into; empty for all others.
	Room string `cbor:"8,keyasint,omitempty"`
}

// Message is one line of chat.
type Message struct {
	Room  string `cbor:"1,keyasint"` // one line, as CleanLine makes
	Text  string `cbor:"2,keyasint"`
	Nick  string `cbor:"3,keyasint,omitempty"` // what the visitor calls themself
	Mark  uint32 `cbor:"4,keyasint,omitempty"` // per browser and room, 0 for none
	Reply []byte `cbor:"5,keyasint,omitempty"` // empty, or the ID answered to
}

// Post is a contribution to the board, or an answer to one.
type Post struct {
	Title  string `cbor:"1,keyasint,omitempty"`
	Text   string `cbor:"2,keyasint"`
	Nick   string `cbor:"3,keyasint,omitempty"`
	Thread []byte `cbor:"4,keyasint,omitempty"` // empty, or the ID of the thread's first post
	Image  []byte `cbor:"5,keyasint,omitempty"` // empty, or a CID
	Pinned bool   `cbor:"6,keyasint,omitempty"`
}

// Takedown hides another record.
type Takedown struct {
	Target ID     `cbor:"1,keyasint"`
	Secret []byte `cbor:"2,keyasint,omitempty"` // reveals the target's undo secret
	Reason string `cbor:"3,keyasint,omitempty"`
}

// Card is what a node says about itself.
type Card struct {
	Name     string `cbor:"1,keyasint"`
	About    string `cbor:"2,keyasint,omitempty"`
	Software string `cbor:"3,keyasint,omitempty"` // program and version
	Files    uint64 `cbor:"4,keyasint,omitempty"` // living files it offers
	Bytes    uint64 `cbor:"5,keyasint,omitempty"` // their sizes added up
}

func (File) Kind() Kind     { return KindFile }
func (Message) Kind() Kind  { return KindMessage }
func (Post) Kind() Kind     { return KindPost }
func (Takedown) Kind() Kind { return KindTakedown }
func (Card) Kind() Kind     { return KindCard }

func (f File) Check() error {
	if err := CheckName(f.Name); err != nil {
		return err
	}
	if !f.CID.Valid() {
		return fmt.Errorf("%w: CID of another profile", ErrBody)
	}
	if f.Size > MaxBlob {
		return fmt.Errorf("%w: file is larger than the limit", ErrBody)
	}
	if f.Modified > MaxTime || f.Cleaned > CleanedKept {
		return fmt.Errorf("%w: value out of range", ErrBody)
	}
	return firstError(
		checkLine("media type", f.MediaType, 0, MaxMediaType),
		checkText("description", f.Description, 0, MaxDescription),
		checkLine("room", f.Room, 0, MaxRoom))
}

func (m Message) Check() error {
	return firstError(
		checkLine("room", m.Room, 1, MaxRoom),
		checkText("message", m.Text, 1, MaxMessage),
		checkLine("nickname", m.Nick, 0, MaxNick),
		checkRef("reply", m.Reply, len(ID{})))
}

func (p Post) Check() error {
	if len(p.Image) == len(CID{}) && !CID(p.Image).Valid() {
		return fmt.Errorf("%w: CID of another profile", ErrBody)
	}
	return firstError(
		checkLine("title", p.Title, 0, MaxTitle),
		checkText("post", p.Text, 1, MaxPost),
		checkLine("nickname", p.Nick, 0, MaxNick),
		checkRef("thread", p.Thread, len(ID{})),
		checkRef("image", p.Image, len(CID{})))
}

func (t Takedown) Check() error {
	if len(t.Secret) > MaxSecret {
		return fmt.Errorf("%w: secret is too long", ErrBody)
	}
	return checkText("reason", t.Reason, 0, MaxReason)
}

func (c Card) Check() error {
	if c.Files > MaxCount || c.Bytes > MaxCount {
		return fmt.Errorf("%w: value out of range", ErrBody)
	}
	return firstError(
		checkLine("name", c.Name, 1, MaxNodeName),
		checkText("about", c.About, 0, MaxAbout),
		checkLine("software", c.Software, 0, MaxSoftware))
}

// Holds reports whether this takedown, signed by author, hides target for
// everyone: the target's author signed it, or it reveals the target's undo
// secret. It must live at least as long as its target, so that nothing comes
// back when the takedown is forgotten. A moderator's takedown is a matter of
// trust and is decided by the caller.
func (t Takedown) Holds(author Key, expires int64, target *Record) bool {
	if t.Target != target.ID() || target.Kind == KindTakedown || expires < target.Expires {
		return false
	}
	if author == target.Author {
		return true
	}
	return len(target.Undo) > 0 && len(t.Secret) > 0 && bytes.Equal(UndoHash(t.Secret), target.Undo)
}

// File reads the body of a KindFile record.
func (r *Record) File() (File, error) {
	if r.Kind == KindFile {
		if f, ok := readFile(r.Body); ok {
			if err := f.Check(); err != nil {
				return File{}, err
			}
			return f, nil
		}
	}
	return decodeBody[File](r)
}

// Message reads the body of a KindMessage record.
func (r *Record) Message() (Message, error) { return decodeBody[Message](r) }

// Post reads the body of a KindPost record.
func (r *Record) Post() (Post, error) { return decodeBody[Post](r) }

// Takedown reads the body of a KindTakedown record.
func (r *Record) Takedown() (Takedown, error) { return decodeBody[Takedown](r) }

// Card reads the body of a KindCard record.
func (r *Record) Card() (Card, error) { return decodeBody[Card](r) }

// CheckBody reports ErrBody for a record of a known kind whose body that kind
// does not allow. Records of unknown kinds pass.
func (r *Record) CheckBody() error {
	var err error
	switch r.Kind {
	case KindFile:
		_, err = r.File()
	case KindMessage:
		_, err = r.Message()
	case KindPost:
		_, err = r.Post()
	case KindTakedown:
		_, err = r.Takedown()
	case KindCard:
		_, err = r.Card()
	}
	return err
}

func decodeBody[B Body](r *Record) (B, error) {
	var b, none B
	if r.Kind != b.Kind() {
		return none, fmt.Errorf("%w: record is of another kind", ErrBody)
	}
	// The library's own errors may quote what an attacker wrote: they stay here.
	if err := decoding.Unmarshal(r.Body, &b); err != nil {
		return none, fmt.Errorf("%w: not the CBOR of this kind", ErrBody)
	}
	again, err := encoding.Marshal(b)
	if err != nil || !bytes.Equal(again, r.Body) {
		return none, fmt.Errorf("%w: not in canonical form", ErrBody)
	}
	if err := b.Check(); err != nil {
		return none, err
	}
	return b, nil
}

func checkRef(what string, b []byte, size int) error {
	if len(b) != 0 && len(b) != size {
		return fmt.Errorf("%w: %s has a wrong length", ErrBody, what)
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// encoding is deterministic CBOR (RFC 8949, section 4.2.1); decoding refuses
// what it never makes. Both are safe for concurrent use and never change.
var (
	encoding = must(cbor.EncOptions{
		Sort:          cbor.SortCoreDeterministic,
		ShortestFloat: cbor.ShortestFloat16,
		NaNConvert:    cbor.NaNConvert7e00,
		InfConvert:    cbor.InfConvertFloat16,
		IndefLength:   cbor.IndefLengthForbidden,
		NilContainers: cbor.NilContainerAsEmpty,
		TagsMd:        cbor.TagsForbidden,
	}.EncMode())
	decoding = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		UTF8:              cbor.UTF8RejectInvalid,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   4,
		MaxArrayElements:  64,
		MaxMapPairs:       64,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // the options above are constants; a wrong one fails every test
	}
	return v
}
