package node

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"boucan/record"
)

// keyFile holds the node's Ed25519 seed, PEM-wrapped, readable by its owner only.
const keyFile = "identity.key"

const keyBlock = "BOUCAN ED25519 SEED"

// loadIdentity reads the node's key from dir, making one on the first start. A
// key file that cannot be read is an error and is never replaced: a new key
// would orphan everything this node has shared.
func loadIdentity(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, keyFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newIdentity(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != keyBlock || len(block.Bytes) != ed25519.SeedSize {
		return nil, fmt.Errorf("identity %s is damaged: put back a copy of it, or move it away to become a new box", path)
	}
	return ed25519.NewKeyFromSeed(block.Bytes), nil
}

func newIdentity(dir string) (ed25519.PrivateKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := rand.Read(seed); err != nil {
		return nil, fmt.Errorf("make identity: %w", err)
	}
	b := pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: seed})
	if err := writeDurable(dir, keyFile, b); err != nil {
		return nil, fmt.Errorf("save identity: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// writeDurable writes a private file so that after a power cut it is whole or
// not there: aside, synced, renamed, folder synced.
func writeDurable(dir, name string, b []byte) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	aside := name + ".new"
	f, err := root.OpenFile(aside, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return errors.Join(err, root.Remove(aside))
	}
	if err := root.Rename(aside, name); err != nil {
		return err
	}
	return syncDir(root, ".")
}

// defaultName is a name for a box whose operator gave none: two plain words
// chosen by its key, so that it stays the same and tells nothing of the machine.
func defaultName(key record.Key) string {
	return adjectives[int(key[0])%len(adjectives)] + " " + animals[int(key[1])%len(animals)]
}

var adjectives = [...]string{
	"Amber", "Azure", "Bold", "Brass", "Bright", "Calm", "Clever", "Copper", "Coral", "Crimson", "Dusty",
	"Early", "Emerald", "Gentle", "Golden", "Happy", "Humming", "Indigo", "Ivory", "Jolly", "Lively", "Loud",
	"Mellow", "Merry", "Olive", "Proud", "Quick", "Rusty", "Scarlet", "Silver", "Sunny", "Velvet",
}

var animals = [...]string{
	"Badger", "Bee", "Cicada", "Crane", "Cricket", "Curlew", "Dolphin", "Finch", "Fox", "Frog", "Gecko",
	"Goose", "Gull", "Hare", "Heron", "Jackdaw", "Kestrel", "Lark", "Lynx", "Magpie", "Marmot", "Otter",
	"Owl", "Parrot", "Pelican", "Raven", "Robin", "Seal", "Starling", "Swift", "Toucan", "Wren",
}
