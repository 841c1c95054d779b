package record_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"boucan/record"
)

// The vectors of spec/vectors were made by a program that shares no code with
// this one. The tests here hold the two to one another in both directions.

// bin is bytes written as hexadecimal.
type bin []byte

func (b *bin) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	*b = raw
	return err
}

// packed is one record, its longest run of one byte perhaps taken out.
type packed struct {
	Record bin `json:"record"`
	Insert struct {
		At    int `json:"at"`
		Byte  bin `json:"byte"`
		Times int `json:"times"`
	} `json:"insert"`
}

func (p packed) raw() []byte {
	if p.Insert.Times == 0 {
		return p.Record
	}
	run := bytes.Repeat(p.Insert.Byte, p.Insert.Times)
	return bytes.Join([][]byte{p.Record[:p.Insert.At], run, p.Record[p.Insert.At:]}, nil)
}

type validVector struct {
	packed
	Name    string          `json:"name"`
	Seed    bin             `json:"seed"`
	Author  string          `json:"author"`
	Kind    record.Kind     `json:"kind"`
	Created int64           `json:"created"`
	Expires int64           `json:"expires"`
	Undo    bin             `json:"undo"`
	ID      string          `json:"id"`
	Body    json.RawMessage `json:"body"`
}

type recordVectors struct {
	At      int64         `json:"at"`
	Valid   []validVector `json:"valid"`
	Invalid []struct {
		packed
		Name  string `json:"name"`
		Fails string `json:"fails"`
	} `json:"invalid"`
	Takedowns []struct {
		Name     string `json:"name"`
		Holds    bool   `json:"holds"`
		Target   bin    `json:"target"`
		Takedown bin    `json:"takedown"`
	} `json:"takedowns"`
	PeerIDs []struct {
		Key    bin    `json:"key"`
		PeerID string `json:"peer_id"`
	} `json:"peer_ids"`
}

func readVectors(tb testing.TB, name string, v any) {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("..", "spec", "vectors", name))
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		tb.Fatal(err)
	}
}

func readRecordVectors(tb testing.TB) recordVectors {
	tb.Helper()
	var v recordVectors
	readVectors(tb, "records.json", &v)
	if len(v.Valid) == 0 || len(v.Invalid) == 0 || len(v.Takedowns) == 0 || len(v.PeerIDs) == 0 {
		tb.Fatal("records.json: a table is empty")
	}
	return v
}

// takeIn is the order of spec/records.md, section 7.
func takeIn(raw []byte, now time.Time) (*record.Record, error) {
	r, err := record.Decode(raw)
	if err != nil {
		return nil, err
	}
	return r, firstError(r.Verify, r.CheckBody, func() error { return r.Current(now) })
}

func firstError(checks ...func() error) error {
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

var failures = map[string]error{
	"too-large": record.ErrTooLarge,
	"malformed": record.ErrMalformed,
	"version":   record.ErrVersion,
	"times":     record.ErrTimes,
	"signature": record.ErrSignature,
	"body":      record.ErrBody,
	"expired":   record.ErrExpired,
	"future":    record.ErrFuture,
}

// class is the word of the specification for err, empty for nil.
func class(tb testing.TB, err error) string {
	tb.Helper()
	if err == nil {
		return ""
	}
	found := ""
	for name, target := range failures {
		if errors.Is(err, target) {
			if found != "" {
				tb.Fatalf("error is of two classes, %s and %s: %v", found, name, err)
			}
			found = name
		}
	}
	if found == "" {
		tb.Fatalf("error is of no class: %v", err)
	}
	return found
}

func TestValidVectorsAreTakenIn(t *testing.T) {
	vectors := readRecordVectors(t)
	for _, v := range vectors.Valid {
		t.Run(v.Name, func(t *testing.T) {
			raw := v.raw()
			r, err := takeIn(raw, time.UnixMilli(vectors.At))
			if err != nil {
				t.Fatal(err)
			}
			if r.Kind != v.Kind || r.Author.String() != v.Author || r.Created != v.Created || r.Expires != v.Expires {
				t.Errorf("envelope reads %v %v %v %v", r.Kind, r.Author, r.Created, r.Expires)
			}
			if !bytes.Equal(r.Undo, v.Undo) {
				t.Errorf("undo = %x, want %x", r.Undo, v.Undo)
			}
			if r.ID().String() != v.ID {
				t.Errorf("id = %v, want %v", r.ID(), v.ID)
			}
			if !bytes.Equal(r.Encode(), raw) {
				t.Error("re-encodes to other bytes")
			}
		})
	}
}

func TestSigningMakesTheValidVectors(t *testing.T) {
	made := 0
	for _, v := range readRecordVectors(t).Valid {
		body := vectorBody(t, v)
		if body == nil {
			continue
		}
		made++
		r, err := record.Sign(ed25519.NewKeyFromSeed(v.Seed), record.Draft{
			Created: time.UnixMilli(v.Created), Expires: time.UnixMilli(v.Expires), Undo: v.Undo, Body: body,
		})
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if !bytes.Equal(r.Encode(), v.raw()) {
			t.Errorf("%s: signed as\n%x, want\n%x", v.Name, r.Encode(), v.raw())
		}
	}
	if made < 10 {
		t.Errorf("only %d vectors have a body to sign", made)
	}
}

func TestInvalidVectorsFailAsSpecified(t *testing.T) {
	vectors := readRecordVectors(t)
	seen := map[string]bool{}
	for _, v := range vectors.Invalid {
		_, err := takeIn(v.raw(), time.UnixMilli(vectors.At))
		if got := class(t, err); got != v.Fails {
			t.Errorf("%s: fails as %q (%v), want %q", v.Name, got, err, v.Fails)
		}
		seen[v.Fails] = true
	}
	for name := range failures {
		if !seen[name] {
			t.Errorf("no vector fails as %s", name)
		}
	}
}

func TestTakedownVectors(t *testing.T) {
	vectors := readRecordVectors(t)
	for _, v := range vectors.Takedowns {
		now := time.UnixMilli(vectors.At)
		target, err := takeIn(v.Target, now)
		if err != nil {
			t.Fatalf("%s: target: %v", v.Name, err)
		}
		r, err := takeIn(v.Takedown, now)
		if err != nil {
			t.Fatalf("%s: takedown: %v", v.Name, err)
		}
		takedown, err := r.Takedown()
		if err != nil {
			t.Fatal(err)
		}
		if got := takedown.Holds(r.Author, r.Expires, target); got != v.Holds {
			t.Errorf("%s: holds = %v", v.Name, got)
		}
	}
}

// The peer IDs of the vectors were compared once with those that go-libp2p's
// peer.IDFromPublicKey gives the same keys.
func TestPeerIDVectors(t *testing.T) {
	for _, v := range readRecordVectors(t).PeerIDs {
		key := record.Key(v.Key)
		if key.String() != v.PeerID {
			t.Errorf("%x is %v, want %v", v.Key, key, v.PeerID)
		}
		if back, err := record.ParseKey(v.PeerID); err != nil || back != key {
			t.Errorf("ParseKey(%v) = %x, %v", v.PeerID, back, err)
		}
	}
}

// vectorBody reads the JSON form of a body: nil where the vector has none.
func vectorBody(tb testing.TB, v validVector) record.Body {
	tb.Helper()
	var b struct {
		Name, Room, Text, Nick, Title, About, Software, Reason, Description string
		CID, Image                                                          string
		MediaType                                                           string `json:"media_type"`
		Size, Modified, Cleaned, Files, Bytes                               uint64
		Mark                                                                uint32
		Pinned                                                              bool
		Reply, Thread, Target, Secret                                       bin
	}
	if v.Body == nil {
		return nil
	}
	if err := json.Unmarshal(v.Body, &b); err != nil {
		tb.Fatalf("%s: %v", v.Name, err)
	}
	switch v.Kind {
	case record.KindFile:
		return record.File{
			Name: b.Name, CID: mustCID(tb, b.CID), Size: b.Size, MediaType: b.MediaType, Modified: b.Modified,
			Description: b.Description, Cleaned: record.Cleaned(b.Cleaned), Room: b.Room,
		}
	case record.KindMessage:
		return record.Message{Room: b.Room, Text: b.Text, Nick: b.Nick, Mark: b.Mark, Reply: b.Reply}
	case record.KindPost:
		p := record.Post{Title: b.Title, Text: b.Text, Nick: b.Nick, Thread: b.Thread, Pinned: b.Pinned}
		if b.Image != "" {
			cid := mustCID(tb, b.Image)
			p.Image = cid[:]
		}
		return p
	case record.KindTakedown:
		return record.Takedown{Target: record.ID(b.Target), Secret: b.Secret, Reason: b.Reason}
	case record.KindCard:
		return record.Card{Name: b.Name, About: b.About, Software: b.Software, Files: b.Files, Bytes: b.Bytes}
	}
	tb.Fatalf("%s: has a body of an unknown kind", v.Name)
	return nil
}

func mustCID(tb testing.TB, s string) record.CID {
	tb.Helper()
	cid, err := record.ParseCID(s)
	if err != nil {
		tb.Fatal(err)
	}
	return cid
}
