package share

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

func TestZeros(t *testing.T) {
	const size = 1_100_000_000
	z := make([]byte, ChunkSize)
	full := sha256.Sum256(z)
	n := Chunks(size)
	leaves := bytes.Repeat(full[:], n-1)
	last := sha256.Sum256(z[:size-(n-1)*ChunkSize])
	m := newManifest(size, append(leaves, last[:]...))
	if m.CID.String() != "bafybeifrzyneoz7psw3l3djg4h4kwq4la7vptczbde624uopmtep3hueiq" {
		t.Fatal(m.CID)
	}
}
