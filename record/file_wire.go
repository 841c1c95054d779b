package record

import "unicode/utf8"

// More CBOR major types (RFC 8949, section 3.1), of which the body of a file is made.
const (
	majorText = 3 << 5
	majorMap  = 5 << 5
)

// fileReader reads the pairs of a File's map in the order of their keys.
type fileReader struct {
	reader
	pairs uint64 // left of the map
}

// has takes the next key if it is this one.
func (r *fileReader) has(key byte) bool {
	if r.bad || r.pairs == 0 || len(r.raw) == 0 || r.raw[0] != key {
		return false
	}
	r.raw = r.raw[1:]
	r.pairs--
	return true
}

// text reads a text string, which must not be empty where that is left out.
func (r *fileReader) text(least int) string {
	n := r.head(majorText)
	if r.bad || n > uint64(len(r.raw)) || n < uint64(least) || !utf8.Valid(r.raw[:n]) {
		r.bad = true
		return ""
	}
	s := string(r.raw[:n])
	r.raw = r.raw[n:]
	return s
}

// number reads a number, which must not be zero where that is left out.
func (r *fileReader) number(least uint64) uint64 {
	n := r.head(majorUint)
	r.bad = r.bad || n < least
	return n
}

// readFile reads the one canonical encoding of a File, as the struct's tags say it.
// All that is listed is read so at each start, and by hand it takes a tenth of the
// library's time. The limits are left to Check. Where it says no, the library has
// the last word; FuzzBody holds the two to each other.
func readFile(body []byte) (f File, ok bool) {
	in := fileReader{reader: reader{raw: body}}
	in.pairs = in.head(majorMap)
	if !in.has(1) {
		return File{}, false
	}
	f.Name = in.text(0)
	if !in.has(2) {
		return File{}, false
	}
	cid := in.bytes()
	if !in.has(3) || len(cid) != len(f.CID) {
		return File{}, false
	}
	f.CID = CID(cid)
	f.Size = in.number(0)
	if in.has(4) {
		f.MediaType = in.text(1)
	}
	if in.has(5) {
		f.Modified = in.number(1)
	}
	if in.has(6) {
		f.Description = in.text(1)
	}
	if in.has(7) {
		f.Cleaned = Cleaned(in.number(1))
	}
	if in.has(8) {
		f.Room = in.text(1)
	}
	return f, !in.bad && in.pairs == 0 && len(in.raw) == 0
}
