package webui

import (
	"net/url"
	"strings"
	"testing"
)

// Whatever is asked: an answer that begins names its bytes in one way, and the
// address it gives for itself asks for the same.
func FuzzBlockAsk(f *testing.F) {
	const cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
	for _, s := range [][4]string{
		{cid, "", "format=raw", ""}, {cid, "", "", rawType}, {"bafkqaaa", "", "format=car", ""},
		{cid, "", "format=car&entity-bytes=-5:*&dag-scope=entity", carType + ";dups=y"},
		{cid, "", "filename=%22%0d&car-dups=y", carType + ";q=0.5;order=dfs, " + rawType + ";q=NaN"},
		{cid, "x", "format=car&entity-bytes=0:-9223372036854775808", "*/*"}, {"QmfM2r8seH2GiRaC4esTjeraXEachRt8ZsSeGaWTPLyMoG", "", "", ","},
	} {
		f.Add(s[0], s[1], s[2], s[3], int64(1<<20))
	}
	f.Fuzz(func(t *testing.T, cid, path, query, accept string, size int64) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		a, err := parseBlockAsk(cid, path, values, []string{accept})
		if err != nil {
			return
		}
		at, err := url.Parse(a.url())
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseBlockAsk(strings.TrimPrefix(at.Path, "/ipfs/"), "", at.Query(), nil)
		if a.location = ""; err != nil || again != a {
			t.Errorf("%+v is %+v at %s, %v", a, again, a.url(), err)
		}
		for _, c := range []byte(a.tag() + a.url()) {
			if c <= 0x20 || c >= 0x7f {
				t.Errorf("tag %q, address %q", a.tag(), a.url())
			}
		}
		if size = max(size, 0); size > 1<<50 {
			size = 1 << 50
		}
		from, to, err := a.span(size)
		if err == nil && (from < 0 || to < from || to > max(size, from)) {
			t.Errorf("%+v of %d bytes: %d to %d", a, size, from, to)
		}
	})
}
