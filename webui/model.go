package webui

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"boucan/record"
)

// Files is the list and the bytes of what this box shares. It is called from
// many goroutines at once.
type Files interface {
	Uploads
	// List returns one page of the living files, newest first. It is called
	// for every view of the page and must be quick.
	List(ctx context.Context, q Query) (Page, error)
	// Drop keeps what r yields until io.EOF under a name like name, and
	// returns when bytes and record are durable. Where r fails nothing stays.
	// It fails with ErrFull, ErrTooLarge, ErrAway, ErrOther, ErrReadOnly, ErrFailing,
	// ErrBlocked, or what r failed with, wrapped or not. r is not read after Drop has returned.
	Drop(ctx context.Context, name string, r io.Reader, o DropOptions) (Dropped, error)
	// Open opens the bytes of a file for reading from their start; the caller
	// closes them. A real *os.File lets the kernel send it. It fails with
	// ErrUnknown, ErrNotHere (the File is then filled in all the same), ErrAway.
	Open(ctx context.Context, cid record.CID) (*os.File, File, error)
	// Fetch opens the bytes of a listed file that Open does not find here: they
	// are got from another box while they are read, those first where the reader
	// is, and kept. It returns when a box has shown to have them; Read waits for
	// each part, and fails where nobody has it any more. It fails with ErrUnknown,
	// ErrNotHere, ErrRemoved, ErrLied, ErrFull, ErrTooLarge, ErrAway or ErrBusy; in
	// all but the first the File is filled in. The content ends with ctx, and the
	// caller closes it.
	Fetch(ctx context.Context, cid record.CID) (Content, File, error)
	// Chosen finds listed files by the ids of their entries, in that order; what is
	// not listed any more is left out.
	Chosen(ctx context.Context, ids []record.ID) ([]File, error)
	// Folder lists up to limit files of a folder and of all folders below it, newest
	// first.
	Folder(ctx context.Context, folder string, limit int) (Page, error)
	// Named finds the entry that offers these bytes under a name, or the first that
	// offers them under any. It fails with ErrUnknown.
	Named(ctx context.Context, cid record.CID, name string) (File, error)
	// DAG finds a block of a listed file that is here, by the CID of the file or of
	// any block below. It may take seconds where nobody asked for anything near it.
	// It fails with ErrUnknown, ErrNotHere or ErrAway.
	DAG(ctx context.Context, cid record.CID) (DAG, error)
	// Undoable says what an undo code is for: a file's name, or "" for a message.
	// Undo takes it back from every box, and returns when that is durable. Both
	// fail with ErrNoUndo.
	Undoable(ctx context.Context, code record.UndoCode) (name string, err error)
	Undo(ctx context.Context, code record.UndoCode) (Undone, error)
}

// Uploads are drops that come in pieces, over several connections and across
// restarts of the box. It is called from many goroutines at once. Its methods
// fail with ErrNoUpload where there is none of that id, and with ErrAway.
type Uploads interface {
	// BeginUpload begins one for a drop of o.Size bytes, which must be known. note
	// is kept beside it, up to MaxUploadNote bytes. It is durable on return, and
	// fails as Drop does, or with ErrBusy where too many are kept.
	BeginUpload(ctx context.Context, id UploadID, name, note string, o DropOptions) (Upload, error)
	// LookUpload says how far one has come; it waits for whoever adds to it.
	LookUpload(ctx context.Context, id UploadID) (Upload, error)
	// AppendUpload adds what r yields until io.EOF, at most what is lacking, at
	// offset, and returns when it is durable. Where r fails, what came is kept all
	// the same: the Upload says how far it is. It fails with ErrOffset where the
	// upload goes on elsewhere, with ErrFull, or what r failed with.
	AppendUpload(ctx context.Context, id UploadID, offset int64, r io.Reader) (Upload, error)
	// FinishUpload makes a drop of one that has come whole, as Drop does, and may
	// be called again for a while: then it only tells what became of it. Its
	// options must have the same secret each time.
	FinishUpload(ctx context.Context, id UploadID, name string, o DropOptions) (Dropped, error)
	// EndUpload forgets one and what has come of it.
	EndUpload(ctx context.Context, id UploadID) error
}

// UploadID names an upload: a hash of the secret in its address, so that nothing
// that is written down lets anybody add to it.
type UploadID [32]byte

// Upload is how far one has come.
type Upload struct {
	Size   int64     // bytes in all
	Offset int64     // bytes of it that are safe
	Note   string    // as BeginUpload was given it
	Ends   time.Time // when it is forgotten unless something happens
	Done   bool      // FinishUpload has succeeded
}

// Content is the bytes of a file that may still be on their way. It is for one
// goroutine.
type Content interface{ io.ReadSeekCloser }

// Query asks for one page of the list. Offset and Limit are never negative and
// Limit is at most MaxPage.
type Query struct {
	Text   string // all of these words in name, description or box; empty for all
	Offset int
	Limit  int
}

// Page is a part of the list.
type Page struct {
	Files []File
	Total int // how many files match in all
}

// File is one record that offers bytes. Two of them may name the same CID.
type File struct {
	ID        record.ID
	CID       record.CID
	Name      string // as record.CheckName wants, with its folders
	Size      int64  // bytes
	MediaType string // may be empty; never trusted as it is
	Added     time.Time
	// Expires is when it goes unless somebody offers it anew.
	Expires time.Time
	// Description is what whoever dropped it says of it, as record.CleanText
	// makes it; empty for most.
	Description string
	From        BoxRef // the box it was dropped on
	Here        bool   // all its bytes are on this box
	Damaged     bool   // they are, and some do not read as they were stored; they are fetched anew
	Landed      int64  // bytes that have come so far while it is being fetched
}

// BoxRef names a box beside something that came from it.
type BoxRef struct {
	ID   record.Key
	Name string    // may be empty where it is not known yet
	Self bool      // it is this box
	Near bool      // it is in reach now
	Seen time.Time // when it was last heard of, to the minute; zero where it is not known
}

// DropOptions is what is known of a drop before its bytes.
type DropOptions struct {
	// Size is what the client says it will send, in bytes, -1 where it does
	// not say. It is a claim: fit for refusing early and for nothing else.
	Size int64
	// MediaType is what the client says it is; empty where it does not say.
	MediaType string
	// Description is what they say of it, cleaned; may be empty.
	Description string
	// Life is how long it is to stay, at most 90 days; 0 where they do not say.
	Life time.Duration
	// Secret is the undo secret that the client chose, so that it can try again
	// after a lost answer: a drop with the same name, bytes and secret adds
	// nothing. nil has one made.
	Secret *[record.SecretSize]byte
	// KeepMetadata has the file stored as it is, with what identifies in it.
	KeepMetadata bool
}

// Dropped is the outcome of a drop.
type Dropped struct {
	File File
	// Already says that the same bytes were here before.
	Already bool
	Undo    string // undo code that takes the drop back; kept nowhere else
	// Cleaned says what became of what identified in the file, and Location that a
	// position was among what was removed.
	Cleaned  record.Cleaned
	Location bool
}

// Undone is what was taken back.
type Undone struct {
	Name string // of the file; empty for a message
	Kept bool   // the same bytes are still listed: somebody else shares them too
}

// The ways in which Files refuses. Implementations wrap them as they like.
var (
	ErrFull     = errors.New("no room left")                   // 507: the reserve would be touched
	ErrTooLarge = errors.New("file is larger than it may be")  // 413
	ErrAway     = errors.New("storage is away")                // 503: the stick was pulled
	ErrOther    = errors.New("another storage is in place")    // 503: a stick that is not this box's
	ErrReadOnly = errors.New("storage can only be read")       // 503
	ErrFailing  = errors.New("storage is failing")             // 503
	ErrDamaged  = errors.New("file is damaged here")           // 503: and nobody in reach has it whole
	ErrNotHere  = errors.New("file is on another box")         // 503: listed, not copied yet
	ErrUnknown  = errors.New("no such file")                   // 404
	ErrRemoved  = errors.New("file was removed from this box") // 410: listed, and not fetched again
	ErrBlocked  = errors.New("file is blocked on this box")    // 403: its operator does not want it here
	ErrNoUndo   = errors.New("undo code is for nothing here")  // 404: wrong, used, run out, or of another box
	ErrNoUpload = errors.New("no such upload")                 // 404: it never began, ended, or is too old
	ErrOffset   = errors.New("upload goes on elsewhere")       // 409
	ErrLied     = errors.New("record lies about its file")     // 404: nothing is as long as it says
)

// Rooms is the chat. It is called from many goroutines at once.
type Rooms interface {
	// History returns up to limit messages of a room from before the cursor,
	// oldest first. It fails with ErrRoom. It is called for every view of the
	// page and must be quick.
	History(room string, before Cursor, limit int) ([]Message, error)
	// RoomNames names the rooms in which something was said, in order, the lobby first. It
	// is called for every view of a page with a room and must be quick.
	RoomNames() ([]string, error)
	// Post says something and returns when it is durable. It fails with
	// ErrRoom, ErrEmpty, ErrTooLong or a *TooFastError.
	Post(ctx context.Context, d Draft) (Message, error)
	// Follow calls heard for every message of a room that appears or goes,
	// until ctx ends or the follower falls too far behind; it then returns
	// nil, and the caller follows again. It fails with ErrRoom or ErrBusy. heard is
	// called by one goroutine at a time and does not block.
	Follow(ctx context.Context, room string, heard func(m Message, withdrawn bool)) error
}

// Cursor stands between two messages of a room; zero is after the newest.
type Cursor struct {
	Created int64 // Unix milliseconds
	ID      record.ID
}

// Message is one line of chat. Its fields are those of chat.Message, so that
// the one converts to the other.
type Message struct {
	ID    record.ID
	Room  string
	Nick  string
	Text  string
	Mark  uint32
	Reply *record.ID
	From  record.Key
	Box   string
	At    time.Time
}

// Draft is what a visitor wants to say. Its fields are those of chat.Draft.
type Draft struct {
	Visitor string // opaque key for the rate limit; it dies with the process
	Room    string
	Nick    string
	Text    string
	Mark    uint32
	Reply   *record.ID
	Once    string // names this attempt, so that a retry adds nothing
}

// The ways in which Rooms refuses.
var (
	ErrRoom    = errors.New("no such room")
	ErrEmpty   = errors.New("message is empty")
	ErrTooLong = errors.New("message is too long")
	ErrBusy    = errors.New("too many at once")
)

// TooFastError refuses a message that came too soon.
type TooFastError struct {
	Wait time.Duration // until the same visitor may post again
}

func (e *TooFastError) Error() string { return "messages come too fast" }

// Box is what the page shows of this box and of those around it. It is called
// from many goroutines at once, for every view, and does no I/O.
type Box interface {
	Self() Self
	// Peers lists the boxes met, those in reach first.
	Peers() []Peer
	// Beyond lists boxes that were never met and are known through others, up to
	// MaxBeyond of them. It may read the disk.
	Beyond() []Peer
	Usage() Usage
	// Transfers lists what is being fetched from other boxes.
	Transfers() []Transfer
	// Actions is what the operator did about what is shared, newest first.
	Actions() []Action
	// AsksTime reports whether this box does not know the time and would hear it
	// from visitors. HearTime takes what the browser of one says; visitor is an
	// opaque key that dies with the process.
	AsksTime() bool
	HearTime(visitor string, now time.Time)
}

// Action is one thing that the operator did. It names nobody but boxes.
type Action struct {
	Day  string // as 2026-07-14, UTC
	Did  string // remove, withdraw, trust, untrust, block or unblock
	What string // file, message, box or name
	Ref  string // CID, record id, key or pattern
}

// Self is what this box says of itself.
type Self struct {
	ID   record.Key
	Name string
	URL  string // where visitors find it, as http://100.64.0.1/
	// Software is the program and its version.
	Software string
	Circle   bool // it talks with boxes of its circle alone
}

// Peer is another box.
type Peer struct {
	ID        record.Key
	Name      string    // may be empty where it is not known yet
	Connected bool      // in reach now, if only through others
	LastSeen  time.Time // zero where it is not known
	Files     int       // how many it says it offers
	Bytes     int64     // of these; 0 where it is not known
	Hops      int       // 1 in reach, 2 known through others (two or more); 0 where it is not known
}

// Usage is how much is kept and how much more may be.
type Usage struct {
	Files   int
	Bytes   int64 // of the files
	Total   int64 // bytes of the file system
	Room    int64 // bytes that may still be dropped
	Trouble error // ErrAway, ErrOther, ErrReadOnly or ErrFailing where nothing can be dropped; else nil
	Stopped bool  // the disk is so full that nothing more is copied from other boxes
}

// Transfer is one file on its way here.
type Transfer struct {
	CID          record.CID
	Name         string
	Landed, Size int64 // bytes
}

// Topic says what changed; topics can be added up.
type Topic uint32

// The topics of [Server.Changed].
const (
	FilesChanged     Topic = 1 << iota // the list: records that came, went, landed
	BoxChanged                         // peers, name, usage
	TransfersChanged                   // how far a transfer has come
)
