package node

import (
	"crypto/ed25519"

	"boucan/record"
)

// signer signs records as this node.
type signer struct{ private ed25519.PrivateKey }

// Key names this node.
func (s signer) Key() record.Key { return record.Key(s.private.Public().(ed25519.PublicKey)) }

func (s signer) sign(d record.Draft) (*record.Record, error) { return record.Sign(s.private, d) }
