// Package clean takes out of a file what tells who made it, where and with what:
// positions, serial numbers, authors, comments, thumbnails. Nothing is decoded or
// encoded anew: pixels and sound keep their bytes. It knows a file by its content,
// not by its name, and imports nothing of this project.
//
// Cleaning has two steps. [Look] reads the file and says what would be changed,
// or why it cannot be cleaned; only then is anything written, by [Plan.Apply] in
// place or by [Plan.Reader] elsewhere. So there is no file that is half clean.
//
// Files may be hostile: every length is checked before it is believed, memory does
// not grow with the file, and time grows with its length at most.
package clean

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// ErrCannot is wrapped with the reason by [Look] where a file cannot be cleaned:
// its format is not known here, or it is not as its format has it.
var ErrCannot = errors.New("cannot be cleaned")

// Limits of what is looked at. What is over one cannot be cleaned.
const (
	// maxEdits is how many changes one file may need; each takes 56 bytes of memory.
	maxEdits = 1 << 15
	// maxParts is how many chunks, boxes, blocks or frames of a file are told apart.
	maxParts = 1 << 22
	// maxDepth is how deep boxes may lie in one another.
	maxDepth = 12
	// maxTag is the longest title, artist or album that is kept, in bytes, and
	// maxTags what all that is kept of a file's tags may take.
	maxTag  = 4 << 10
	maxTags = 64 << 10
	// sniffed is how much of what is removed is searched for a position, in bytes.
	sniffed = 64 << 10
)

// Look finds out what has to go from the file of the given size in bytes. It
// fails with [ErrCannot], or with an error of src other than io.EOF. It takes
// about 200 KiB of memory.
func Look(src io.ReaderAt, size int64) (*Plan, error) {
	p := &Plan{in: newInput(src, size)}
	err := p.look()
	p.in.forget()
	switch {
	case p.in.failed != nil:
		return nil, p.in.failed
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", ErrCannot, orUnknown(p.Format), err)
	}
	if err := p.finish(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCannot, p.Format, err)
	}
	return p, nil
}

func orUnknown(format string) string {
	if format == "" {
		return "unknown format"
	}
	return format
}

var (
	errFormat  = errors.New("only JPEG, PNG, GIF, WebP, HEIC, AVIF, MP4, MOV, M4A, MP3, FLAC and Ogg can be")
	errShort   = errors.New("it ends too early")
	errBroken  = errors.New("it is damaged")
	errTooMany = errors.New("it has too many parts")
)

// look tells the format by the first bytes.
func (p *Plan) look() error {
	head, err := p.in.upTo(0, 32)
	if err != nil {
		return err
	}
	is := func(at int, magic string) bool { return len(head) >= at && bytes.HasPrefix(head[at:], []byte(magic)) }
	switch {
	case is(0, "\xff\xd8\xff"):
		p.Format = "JPEG"
		return p.jpeg()
	case is(0, pngMagic):
		p.Format = "PNG"
		return p.png()
	case is(0, "GIF87a"), is(0, "GIF89a"):
		p.Format = "GIF"
		return p.gif()
	case is(0, "RIFF") && is(8, "WEBP"):
		p.Format = "WebP"
		return p.webp()
	case is(0, "fLaC"):
		p.Format = "FLAC"
		return p.flac(0)
	case is(0, "OggS"):
		p.Format = "Ogg"
		return p.ogg()
	case isMedia(head):
		p.Format = "MP4"
		return p.media()
	case is(0, "ID3"), is(0, "APETAGEX"), len(head) >= 4 && mpegFrame(head) > 0:
		p.Format = "MP3"
		return p.mp3()
	}
	return errFormat
}
