// Package replica owns the set of records that this node holds and keeps it the
// same as its peers': it takes records in, indexes them, lets them expire, judges
// takedowns, and compares the set with a peer's by range-based reconciliation.
//
// [Set] is the records. It stands on a [Log], an ordered key-value table, and
// holds in memory only what reconciliation needs: creation time and id of every
// living record, about 50 bytes each. [Syncer] runs the protocol /boucan/sync/1
// (spec/sync.md) with every connected peer.
//
// The package knows no network beyond a [Stream], no disk beyond a [Log], no blob
// bytes, no rooms and no pages. A clock comes in as a function.
//
// What it promises: a record that Add or Publish returned nil for is on disk; a
// record and its index entries are written together or not at all; a record that
// was taken down does not come back while its takedown lives, and a takedown lives
// at least as long as its target.
package replica
