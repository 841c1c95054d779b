package webui

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"boucan/record"
)

// Limits of one ZIP file.
const (
	// MaxPicks is the most files that are chosen one by one: their names make up
	// an address, and browsers and MaxHeaderBytes bound that.
	MaxPicks = 300
	// MaxZipFiles is the most files in one, a few hundred bytes of memory each.
	MaxZipFiles = 2000
	// MaxZipBytes is the most bytes of files in one: as much as one file may have.
	MaxZipBytes = record.MaxBlob

	maxZips = 32 // that are sent at a time
)

// bundle is what goes into one ZIP file.
type bundle struct {
	entries []zipEntry // those that are here come first
	missing []missing  // what could not be had
	far     int        // how many at the end of entries are on another box
	note    string     // what the list of missing is called
	made    time.Time
}

// zipEntry is one file of a bundle.
type zipEntry struct {
	file File
	name string // in the archive
}

// missing is a file that could not be had, and why.
type missing struct {
	name string
	why  error
}

// zipDownload answers GET /zip: files chosen one by one (f=, their entries' ids)
// or a folder with all below it (folder=), stored as they are.
func (s *Server) zipDownload(w http.ResponseWriter, r *http.Request) {
	select {
	case s.zips <- struct{}{}:
		defer func() { <-s.zips }()
	default:
		s.fail(w, r, ErrBusy)
		return
	}
	files, name, err := s.zipChoice(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	lang := s.languages.of(r)
	b, err := s.bundle(r.Context(), files, lang.T("zip.missing.name")+".txt")
	if err != nil {
		s.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", disposition(true, name+".zip"))
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("Cache-Control", "no-store")
	if b.far == 0 {
		h.Set("Content-Length", strconv.FormatInt(b.length(lang), 10))
	}
	if r.Method == http.MethodHead {
		return
	}
	rc := http.NewResponseController(w)
	// A read deadline would end the request's context in the middle.
	_ = rc.SetReadDeadline(time.Time{})
	if err := s.writeBundle(r.Context(), &pacedWriter{ResponseWriter: w, rc: rc}, b, lang); err != nil {
		// What was sent is no whole archive. The connection breaks, so that the
		// browser says so instead of keeping it.
		panic(http.ErrAbortHandler)
	}
}

// zipChoice finds the files that a request names, and what to call their ZIP.
func (s *Server) zipChoice(r *http.Request) ([]File, string, error) {
	q := r.URL.Query()
	if folder := q.Get("folder"); folder != "" {
		if record.CheckName(folder) != nil {
			return nil, "", ErrUnknown
		}
		page, err := s.files.Folder(r.Context(), folder, MaxZipFiles)
		switch {
		case err != nil:
			return nil, "", err
		case page.Total == 0:
			return nil, "", ErrUnknown
		case page.Total > len(page.Files):
			return nil, "", errZipLarge
		}
		return page.Files, path.Base(folder), nil
	}
	ids, err := picked(q)
	if err != nil {
		return nil, "", err
	}
	files, err := s.files.Chosen(r.Context(), ids)
	switch {
	case err != nil:
		return nil, "", err
	case len(files) == 0:
		return nil, "", ErrUnknown
	case len(files) == 1:
		stem, _ := record.SplitExt(path.Base(files[0].Name))
		return files, stem, nil
	}
	return files, s.self().Name, nil
}

// picked reads the ids of the files that were ticked, each once.
func picked(q url.Values) ([]record.ID, error) {
	var ids []record.ID
	seen := make(map[record.ID]bool)
	for _, text := range q["f"] {
		id, err := record.ParseID(text)
		switch {
		case err != nil:
			return nil, errMalformed
		case len(ids) == MaxPicks:
			return nil, errZipLarge
		case !seen[id]:
			seen[id] = true
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, errNothingPicked
	}
	return ids, nil
}

// bundle looks at each file once, so that what is here is known to be, with its
// true size. It fails with errZipLarge, or ErrAway where the storage is away.
func (s *Server) bundle(ctx context.Context, files []File, note string) (*bundle, error) {
	b := &bundle{made: s.now()}
	names := make(zipNames)
	b.note = names.unique(record.CleanName(note))
	var far []zipEntry
	var size int64
	for _, f := range files {
		opened, at, err := s.files.Open(ctx, f.CID)
		if err == nil {
			opened.Close() // was only looked at
			f.Size = at.Size
		}
		switch {
		case errors.Is(err, ErrAway), err != nil && ctx.Err() != nil:
			return nil, err
		case err != nil && !errors.Is(err, ErrNotHere):
			b.missing = append(b.missing, missing{f.Name, err})
			continue
		}
		if size += f.Size; size > MaxZipBytes || size < 0 {
			return nil, errZipLarge
		}
		entry := zipEntry{f, names.unique(record.CleanName(f.Name))}
		if err == nil {
			b.entries = append(b.entries, entry)
		} else {
			far = append(far, entry)
		}
	}
	b.entries, b.far = append(b.entries, far...), len(far)
	return b, nil
}

// writeBundle sends the archive. It fails where the archive is not whole.
func (s *Server) writeBundle(ctx context.Context, w io.Writer, b *bundle, lang *language) error {
	z := newZipWriter(w)
	gone := make(map[record.Key]bool) // boxes that did not have what they offer
	for i, e := range b.entries {
		if i < len(b.entries)-b.far {
			content, at, err := s.files.Open(ctx, e.file.CID)
			if err != nil {
				return err // it was here a moment ago, and was counted
			}
			if at.Size != e.file.Size {
				content.Close()
				return io.ErrUnexpectedEOF
			}
			if err := z.add(e, content); err != nil {
				return err
			}
			continue
		}
		why := error(ErrNotHere)
		var content Content
		if !gone[e.file.From.ID] {
			var at File
			if content, at, why = s.reach(ctx, e.file.CID); why == nil {
				e.file.Size = at.Size
			}
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case why != nil:
			gone[e.file.From.ID] = gone[e.file.From.ID] || errors.Is(why, ErrNotHere)
			b.missing = append(b.missing, missing{e.file.Name, whyNot(why, e.file.From)})
		default:
			if err := z.add(e, content); err != nil {
				return err
			}
		}
	}
	if len(b.missing) > 0 {
		text := b.missingText(lang)
		if err := z.add(zipEntry{File{Size: int64(len(text)), Added: b.made}, b.note}, nopCloser{strings.NewReader(text)}); err != nil {
			return err
		}
	}
	return z.Close()
}

// reach opens a file here, or on another box while it comes.
func (s *Server) reach(ctx context.Context, cid record.CID) (Content, File, error) {
	f, file, err := s.files.Open(ctx, cid)
	switch {
	case err == nil:
		return f, file, nil
	case !errors.Is(err, ErrNotHere):
		return nil, file, err
	}
	return s.files.Fetch(ctx, cid)
}

// whyNot adds to ErrNotHere which box has the file.
func whyNot(err error, from BoxRef) error {
	if errors.Is(err, ErrNotHere) {
		return &notHereError{from}
	}
	return err
}

// missingText is what the archive says of the files that are not in it.
func (b *bundle) missingText(lang *language) string {
	var text strings.Builder
	text.WriteString(lang.T("zip.missing") + "\r\n")
	for _, m := range b.missing {
		text.WriteString("\r\n" + isolate + m.name + isolateEnd + "\r\n" + lang.problem(problemOf(m.why), b.made) + "\r\n")
	}
	return text.String()
}

// length is how long the archive will be, in bytes, where all is here.
func (b *bundle) length(lang *language) int64 {
	var n zipLength
	for _, e := range b.entries {
		n.add(e.name, e.file.Size)
	}
	if len(b.missing) > 0 {
		n.add(b.note, int64(len(b.missingText(lang))))
	}
	return n.total()
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }
