package record

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"strings"
)

const (
	// SecretSize is the length of an undo secret as this program makes it, in
	// bytes: as much chance as nobody can try out.
	SecretSize = 16
	// undoPrefix is how much of a record's id an undo code carries, in bytes:
	// enough to find the record by.
	undoPrefix = 8
)

// UndoCode is what whoever dropped something keeps so as to take it back later: it
// names the record and holds the secret. Only the secret's hash is in the record.
type UndoCode struct {
	Record [undoPrefix]byte // the id's first bytes
	Secret [SecretSize]byte
}

// NewSecret makes a secret of chance.
func NewSecret() (s [SecretSize]byte) {
	_, _ = rand.Read(s[:]) // never fails (crypto/rand)
	return s
}

// ParseSecret reads a secret's text form, 26 characters in base32 as in a code.
func ParseSecret(s string) (secret [SecretSize]byte, err error) {
	b, err := undoText.DecodeString(s[:min(len(s), 64)])
	if err != nil || len(b) != SecretSize || undoText.EncodeToString(b) != s {
		return secret, errors.New("undo secret: want 26 letters and digits")
	}
	return [SecretSize]byte(b), nil
}

// UndoCodeFor is the code that undoes the record of an id with its secret.
func UndoCodeFor(id ID, secret [SecretSize]byte) UndoCode {
	return UndoCode{Record: [undoPrefix]byte(id[:]), Secret: secret}
}

// undoText is base32 (RFC 4648, section 6) in lower case, without padding, as CIDs
// are written.
var undoText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// String is the code's text form, 39 characters (spec/records.md, section 9).
func (c UndoCode) String() string {
	return undoText.EncodeToString(append(c.Record[:], c.Secret[:]...))
}

// ParseUndoCode reads what String writes, in lower or upper case. It fails for all
// else.
func ParseUndoCode(s string) (UndoCode, error) {
	var c UndoCode
	b, err := undoText.DecodeString(strings.ToLower(s[:min(len(s), 64)]))
	if err != nil || len(b) != len(c.Record)+len(c.Secret) || len(s) != undoText.EncodedLen(len(b)) {
		return UndoCode{}, errors.New("undo code: want 39 letters and digits")
	}
	c.Record, c.Secret = [undoPrefix]byte(b), [SecretSize]byte(b[undoPrefix:])
	if c.String() != strings.ToLower(s) {
		return UndoCode{}, errors.New("undo code: want its one text form")
	}
	return c, nil
}
