// Package control is how the command line talks to the running node: HTTP with
// JSON over a Unix socket in the data folder. It holds both ends, [Client] and
// [Server], and the plain values that pass between them. It knows neither the
// node nor the command line: the node is behind the [Node] interface.
//
// The socket is for the user who runs the node and nobody else (mode 0600 in a
// folder of mode 0700), so there is no other authentication.
package control

import (
	"context"
	"errors"
	"io"
	"time"
)

// SocketName is the socket's file name in the data folder.
const SocketName = "control.sock"

// Limits of what the socket accepts.
const (
	MaxQuery    = 4 << 10  // bytes of a search text, name or CID
	MaxChatBody = 16 << 10 // bytes of one chat request
	MaxError    = 4 << 10  // bytes of an error text read by the client
	MaxHistory  = 1000     // chat messages asked for at once
	MaxDamaged  = 1000     // damaged files listed by Scrub
	MaxKey      = 1 << 10  // bytes of the text of a circle's key
)

// ErrNotRunning is returned by Dial where no node serves the data folder.
var ErrNotRunning = errors.New("no boucan is running")

// ErrStopped is returned by calls that were under way when the node stopped.
var ErrStopped = errors.New("the box has stopped")

// ErrNotFound is wrapped where no file has the name or CID that was asked for.
var ErrNotFound = errors.New("no such file")

// Identity is what a node says about itself to its operator.
type Identity struct {
	ID       string   `json:"id"`   // libp2p peer ID
	Name     string   `json:"name"` // of the box
	Version  string   `json:"version"`
	URLs     []string `json:"urls"`     // of the web page
	Addrs    []string `json:"addrs"`    // for other boxes, host:port
	Security string   `json:"security"` // what it prefers to encrypt with, "tls" or "noise"
	Profile  string   `json:"profile"`  // router, board or server
	Store    string   `json:"store"`    // the store's engine
	Data     string   `json:"data"`     // data folder
	Folder   string   `json:"folder"`   // the shared folder
	Circle   string   `json:"circle"`   // fingerprint of the circle it is in, empty in the open mesh
	Files    int      `json:"files"`    // listed
	Bytes    uint64   `json:"bytes"`    // sizes of what is listed added up
	Here     int      `json:"here"`     // files whose bytes lie in this box's folder, all of them durable
	Peers    int      `json:"peers"`    // connected
	Missing  int      `json:"missing"`  // files gone from the folder all at once, held back; see Confirm
	Damaged  int      `json:"damaged"`  // files that do not read as they were stored; see Scrub
	Away     bool     `json:"away"`     // the shared folder is not there, or another one is in its place
	// Storage is how the shared folder and its disk stand: empty where all is well,
	// else unplugged, other, unmarked, silent, shut, readonly or failing.
	Storage string `json:"storage"`
}

// File is one listed file.
type File struct {
	Name        string    `json:"name"`
	CID         string    `json:"cid"`
	Size        uint64    `json:"size"` // bytes
	From        string    `json:"from"` // name of the box that offered it
	FromID      string    `json:"from_id"`
	Here        bool      `json:"here"`              // whether all its bytes lie on this node
	Landed      uint64    `json:"landed"`            // bytes of it that lie here
	Damaged     bool      `json:"damaged,omitempty"` // it lies here and does not read as it was stored
	Pinned      bool      `json:"pinned,omitempty"`  // whether the operator wants it here whatever the policy says
	Why         string    `json:"why,omitempty"`     // why it is not here, where it is not on its way
	MediaType   string    `json:"type,omitempty"`
	Description string    `json:"description,omitempty"`
	Created     time.Time `json:"created"`
	Expires     time.Time `json:"expires"`
}

// Policy is what a node was told to keep, and what it keeps. Sizes are in bytes.
type Policy struct {
	Mirror  string   `json:"mirror"` // "all", "none" or a size in bytes
	Include []string `json:"include"`
	Exclude []string `json:"exclude"`
	Quota   int64    `json:"quota"` // 0 for none
	Reserve int64    `json:"reserve"`
	Own     Kept     `json:"own"`    // the operator's files
	Drops   Kept     `json:"drops"`  // what visitors dropped here
	Pinned  Kept     `json:"pinned"` // of others' files, because the operator wants them
	Copies  Kept     `json:"copies"` // of others' files
	Next    []Next   `json:"next"`   // the copies that would be let go of first
	Coming  int64    `json:"coming"` // promised to what is on its way
	Free    int64    `json:"free"`   // on the disk, the reserve included
	Room    int64    `json:"room"`   // that a drop may take at most
	// Full names what keeps further copies from coming: "mirror", "quota" or
	// "disk"; empty where nothing does.
	Full string `json:"full"`
}

// Next is a copy that a node lets go of when it needs room and another box has it.
type Next struct {
	Name  string    `json:"name"`
	CID   string    `json:"cid"`
	Size  int64     `json:"size"`
	Since time.Time `json:"since"` // when it came here
}

// Kept is how much of one kind lies on a node.
type Kept struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Peer is a box that was met.
type Peer struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Addrs     []string  `json:"addrs"`
	Connected bool      `json:"connected"`
	Near      bool      `json:"near"` // in reach; among many, not all of these are connected
	LastSeen  time.Time `json:"last_seen"`
}

// Clock is what a node knows of the time.
type Clock struct {
	Time   time.Time   `json:"time"`   // as the node has it
	Source string      `json:"source"` // system, operator, peers, visitor or guess
	Hops   int         `json:"hops"`   // where peers agreed: boxes to one that knows by itself
	System time.Time   `json:"system"` // the machine's own clock
	Peers  []PeerClock `json:"peers"`  // of connected boxes, as they said when they last met
}

// PeerClock is what a connected box said of the time.
type PeerClock struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Ahead  int64  `json:"ahead"` // of this node's clock, in milliseconds
	Source string `json:"source"`
	Hops   int    `json:"hops"`
	Voice  bool   `json:"voice"` // false where another box behind the same address speaks
}

// Message is one line of chat.
type Message struct {
	ID   string    `json:"id"`
	Room string    `json:"room"`
	Nick string    `json:"nick,omitempty"`
	Text string    `json:"text"`
	Box  string    `json:"box"` // name of the box it was written on
	At   time.Time `json:"at"`
}

// Scrub is how far the scrub is, which reads all files and compares them with
// what they were.
type Scrub struct {
	State    string    `json:"state"`    // resting, running, paused, alarmed, waiting (for the folder) or noanswer
	Rate     int64     `json:"rate"`     // bytes a second at most; 0 where none begins by itself
	Begun    time.Time `json:"begun"`    // this one, or the last; zero for none yet
	Finished time.Time `json:"finished"` // the last whole one; zero for none yet
	Next     time.Time `json:"next"`     // when the next begins; zero while one goes on and where none does
	Done     int64     `json:"done"`     // bytes of this one, or the last
	Total    int64     `json:"total"`    // bytes there are
	Files    int       `json:"files"`    // read by this one, or the last
	Found    int       `json:"found"`    // of them, that were found damaged
	Damaged  int       `json:"damaged"`  // files that are damaged now
	List     []Damaged `json:"list"`     // of these, at most MaxDamaged
}

// Damaged is a file that does not read as it was stored.
type Damaged struct {
	Path   string    `json:"path"` // in the shared folder
	CID    string    `json:"cid"`
	Size   int64     `json:"size"`   // bytes
	Chunks int       `json:"chunks"` // that are wrong or cannot be read, of 1 MiB
	Since  time.Time `json:"since"`  // when that was found
}

// The orders about the scrub.
const (
	ScrubStart  = "start"
	ScrubPause  = "pause"
	ScrubResume = "resume"
)

// Added is the outcome of adding one file.
type Added struct {
	Name    string `json:"name"`
	CID     string `json:"cid"`
	Size    uint64 `json:"size"`
	Already bool   `json:"already"`        // the bytes were here before
	Undo    string `json:"undo,omitempty"` // takes it back from every box; of Drop only
}

// Node is the running node as the control socket needs it. Its methods are
// called concurrently, each on a request's own goroutine. Errors are shown to
// the operator as they are, so they are whole sentences without internals.
type Node interface {
	Moderator
	Identity() Identity
	// Files calls each for what matches the words of query, newest first; all
	// for "". It ends with what each fails with.
	Files(ctx context.Context, query string, each func(File) error) error
	Peers() []Peer
	Policy() Policy
	// Pin has a file kept here, and fetched if need be, for as long as a record
	// names it. It is durable on return. Unpin takes that back. Both find it by
	// CID or name, and fail with ErrNotFound.
	Pin(ctx context.Context, ref string) (File, error)
	Unpin(ctx context.Context, ref string) (File, error)
	// Add offers the bytes of r under name and returns when they are durable
	// and listed. modified may be zero.
	Add(ctx context.Context, name string, modified time.Time, r io.Reader) (Added, error)
	// Get finds a file by CID or name and waits until its bytes are here. The
	// caller closes the reader. It fails with ErrNotFound.
	Get(ctx context.Context, ref string) (File, io.ReadCloser, error)
	// Lookup finds a file by CID or name without waiting. It fails with ErrNotFound.
	Lookup(ref string) (File, error)
	// Confirm is the operator's word that what lies in the shared folder now is
	// right: files that went missing all at once are withdrawn, and another
	// folder in the known one's place is taken for ours.
	Confirm(ctx context.Context) error
	// Scrub tells how far the scrub is, after an order that is empty for none.
	Scrub(order string) (Scrub, error)
	// JoinCircle makes the box one of the circle whose key text is, LeaveCircle one
	// of the open mesh; with forget, what the circle's folder holds is removed. The
	// node ends for it and is started anew.
	JoinCircle(text string) error
	LeaveCircle(forget bool) error
	Clock() Clock
	// SetClock takes the operator's word for the time.
	SetClock(ctx context.Context, now time.Time) error
	History(ctx context.Context, room string, limit int) ([]Message, error)
	Say(ctx context.Context, room, nick, text string) (Message, error)
	// Follow calls each for the last messages in room, oldest of them first, and
	// then for every new one, until ctx ends or each fails. None is missed
	// between the two and none comes twice.
	Follow(ctx context.Context, room string, last int, each func(Message) error) error
}
