package share

import "strings"

// cursor goes through the known files at or below one path, in the order of
// their paths. It holds a page of them at a time.
type cursor struct {
	index    Index
	from, to string // of what is left
	rest     [][2]string

	page  []pair
	ok    bool // path and known are valid
	path  string
	known known
}

// newCursor begins at the first file at or below path, or at the first of all.
func newCursor(index Index, path string) (*cursor, error) {
	c := &cursor{index: index}
	if path == "" {
		c.rest = [][2]string{{string(keyPath), after(string(keyPath))}}
	} else {
		c.rest = [][2]string{
			{pathKey(path), pathKey(path) + "\x00"},
			{pathKey(path + "/"), after(pathKey(path + "/"))},
		}
	}
	return c, c.next()
}

func (c *cursor) next() error {
	for len(c.page) == 0 {
		if c.from == "" {
			if len(c.rest) == 0 {
				c.ok = false
				return nil
			}
			c.from, c.to = c.rest[0][0], c.rest[0][1]
			c.rest = c.rest[1:]
		}
		page, err := readPage(c.index, c.from, c.to)
		if err != nil {
			c.ok = false
			return err
		}
		c.from = ""
		if len(page) == pageSize {
			c.from = page[len(page)-1].key + "\x00"
		}
		c.page = page
	}
	k, err := decodeKnown(c.page[0].value)
	if err != nil {
		c.ok = false
		return err
	}
	c.ok, c.path, c.known = true, c.page[0].key[1:], k
	c.page = c.page[1:]
	return nil
}

// skip goes past a path of which nothing can be said, or past all below it
// where it ends in a slash or is empty.
func (c *cursor) skip(path string) error {
	for c.ok && (c.path == path || (path == "" || strings.HasSuffix(path, "/")) && strings.HasPrefix(c.path, path)) {
		if err := c.next(); err != nil {
			return err
		}
	}
	return nil
}
