package record_test

import (
	"bytes"
	"strings"
	"testing"

	"boucan/record"
)

func TestTextForms(t *testing.T) {
	digest := [32]byte{0: 0xff, 31: 1}
	raw, tree := record.NewCID(record.CodecRaw, digest), record.NewCID(record.CodecDagPB, digest)
	if !raw.Valid() || !tree.Valid() || raw.Digest() != digest || raw.Codec() != record.CodecRaw || tree.Codec() != record.CodecDagPB {
		t.Errorf("%v and %v are not what went in", raw, tree)
	}
	if !strings.HasPrefix(raw.String(), "bafk") || !strings.HasPrefix(tree.String(), "bafy") || len(raw.String()) != 59 {
		t.Errorf("CIDs read %v and %v", raw, tree)
	}
	if !strings.HasSuffix(raw.String(), raw.Short()) || len(raw.Short()) != 6 {
		t.Errorf("short form %v of %v", raw.Short(), raw)
	}
	key := keyOf(alice)
	if len(key.String()) != 52 || !strings.HasSuffix(key.String(), key.Short()) || len(key.Short()) != 6 {
		t.Errorf("key reads %v, short %v", key, key.Short())
	}
	for _, bad := range []record.CID{{}, record.NewCID(0x71, digest), {0x00, 0x55, 0x12, 0x20}, {0x01, 0x55, 0x1b, 0x20}, {0x01, 0x55, 0x12, 0x21}} {
		if bad.Valid() {
			t.Errorf("%x is valid", bad[:4])
		}
		if _, err := record.ParseCID(bad.String()); err == nil {
			t.Errorf("%v is read", bad)
		}
	}
}

// Each text form names its thing in one way only: none of these near misses is
// read.
func TestParseRefuses(t *testing.T) {
	key := keyOf(alice).String()
	id := strings.Repeat("0a", 32)
	const empty = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku" // of no bytes, from kubo
	if _, err := record.ParseCID(empty); err != nil {
		t.Error(err)
	}
	for _, s := range []string{
		"", "b", "1", strings.Repeat("1", 52), strings.Repeat("z", 52), strings.Repeat("1", 1<<20),
		key[:51], key + "1", "1" + key, " " + key, key + "\n", strings.ToUpper(key), strings.Replace(key, "1", "0", 1), "é" + key[2:],
		"Qm" + strings.Repeat("a", 44),
		id[:63], id + "0", id[:63] + "g", strings.ToUpper(id), "0x" + id[2:], id[:62] + "\n0", " " + id[1:],
		empty[:58], empty + "a", empty[:58] + "v", strings.ToUpper(empty), "B" + empty[1:], "z" + empty[1:], empty[:30] + "\n" + empty[31:],
		empty[:58] + "=", empty[:40] + "1" + empty[41:], "bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyk\n",
	} {
		if got, err := record.ParseKey(s); err == nil {
			t.Errorf("ParseKey(%q) = %v", s, got)
		}
		if got, err := record.ParseID(s); err == nil {
			t.Errorf("ParseID(%q) = %v", s, got)
		}
		if got, err := record.ParseCID(s); err == nil {
			t.Errorf("ParseCID(%q) = %v", s, got)
		}
	}
}

// FuzzParse: what is read in one of the text forms is written the same way, and
// all that is written is read.
func FuzzParse(f *testing.F) {
	f.Add(keyOf(alice).String(), bytes.Repeat([]byte{7}, 32))
	f.Add(strings.Repeat("0a", 32), []byte{})
	f.Add("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", []byte{0xff})
	f.Add("bafybeifrzyneoz7psw3l3djg4h4kwq4la7vptczbde624uopmtep3hueiq", []byte{1, 2, 3})
	f.Add("1111111111111111111111111111111111111111111111111111", []byte{0})
	f.Fuzz(func(t *testing.T, s string, b []byte) {
		if k, err := record.ParseKey(s); err == nil && k.String() != s {
			t.Errorf("key %q reads as %v", s, k)
		}
		if id, err := record.ParseID(s); err == nil && id.String() != s {
			t.Errorf("id %q reads as %v", s, id)
		}
		if c, err := record.ParseCID(s); err == nil && (c.String() != s || !c.Valid()) {
			t.Errorf("CID %q reads as %v", s, c)
		}
		var digest [32]byte
		copy(digest[:], b)
		if back, err := record.ParseKey(record.Key(digest).String()); err != nil || back != digest {
			t.Errorf("key %x is written as what is not read: %v", digest, err)
		}
		if back, err := record.ParseID(record.ID(digest).String()); err != nil || back != digest {
			t.Errorf("id %x is written as what is not read: %v", digest, err)
		}
		for _, codec := range []byte{record.CodecRaw, record.CodecDagPB} {
			c := record.NewCID(codec, digest)
			if back, err := record.ParseCID(c.String()); err != nil || back != c {
				t.Errorf("CID %x is written as what is not read: %v", c, err)
			}
		}
	})
}
