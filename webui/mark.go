package webui

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"regexp"
)

// A mark tells two people of one name apart. The browser keeps a secret for each room; the
// box makes the mark of it, with a key of its own. Who does not know the secret cannot
// make the mark but by asking this box some hundred thousand times, and marks of two rooms
// have nothing in common. Nothing of it is stored but the mark in the message.

// markSecret is what a browser may send for a secret.
var markSecret = regexp.MustCompile(`^[0-9A-Za-z_-]{16,64}$`)

// markOf is the mark of a secret in a room, never 0; 0 where there is no secret.
func (s *Server) markOf(room, secret string) (uint32, error) {
	if secret == "" {
		return 0, nil
	}
	if !markSecret.MatchString(secret) {
		return 0, errMalformed
	}
	mac := hmac.New(sha256.New, s.markKey)
	mac.Write([]byte(room))
	mac.Write([]byte{0})
	mac.Write([]byte(secret))
	return max(1, binary.BigEndian.Uint32(mac.Sum(nil))), nil
}

// spoken is a mark as a word that can be said: three syllables, 343,000 of them.
func spoken(mark uint32) string {
	const consonants, vowels = "bdfgklmnprstvz", "aeiou"
	if mark == 0 {
		return ""
	}
	var tag []byte
	for range 3 {
		tag = append(tag, consonants[mark%14], vowels[mark/14%5])
		mark /= 70
	}
	return string(tag)
}
