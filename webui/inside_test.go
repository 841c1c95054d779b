package webui

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"

	"boucan/record"
)

// TestKeysAreUsedAndKnown reads the sources for the keys they name.
func TestKeysAreUsedAndKnown(t *testing.T) {
	ls, err := loadLanguages()
	if err != nil {
		t.Fatal(err)
	}
	known := ls.byTag["en"].strings
	var text strings.Builder
	named := make(map[string]bool)
	for _, glob := range []string{"templates/*.html", "*.go", "ts/*.ts"} {
		files, err := fs.Glob(os.DirFS("."), glob)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(b)
			call := regexp.MustCompile(`\.([TN]) ?\(?"([a-z_.]+)"`)
			prefix := ""
			if strings.HasSuffix(f, ".ts") {
				call, prefix = regexp.MustCompile(`\b(tn?)\("([a-z_.]+)"[,)]`), "js."
			}
			for _, m := range call.FindAllStringSubmatch(string(b), -1) {
				if k := prefix + m[2]; m[1] == "N" || m[1] == "tn" {
					named[k+".other"] = true
				} else if !strings.HasSuffix(k, ".") { // the rest is put together
					named[k] = true
				}
			}
		}
	}
	for k := range named {
		if known[k] == "" {
			t.Errorf("%q is used and in no catalogue", k)
		}
	}
	for _, code := range []string{codeFull, codeTooLarge, codeAway, codeNotHere, codeUnknown, codeRoom, codeEmpty, codeTooLong, codeTooFast,
		codeBusy, codeCut, codeMalformed, codeNoFile, codeTooMany, codeForeign, codeWrongHost, codeInternal, codeBlocked, codeNoUndo, codeRemoved, codeLied} {
		if known["problem."+code] == "" || known["problem.title."+code] == "" {
			t.Errorf("problem %q has no words", code)
		}
	}
	for _, kind := range []string{kindImage, kindVideo, kindAudio, kindText, kindDocument, kindArchive, kindApp, kindOther} {
		if known["js.kind."+kind] == "" {
			t.Errorf("kind %q has no words", kind)
		}
		icons, err := staticFiles.ReadFile("static/icons.svg")
		if err != nil || !strings.Contains(string(icons), `id="`+kind+`"`) {
			t.Errorf("kind %q has no icon", kind)
		}
	}
	made := regexp.MustCompile(`^(_|problem\.|action\.|js\.(kind|drop|clean|size|age|decimal|chat|link))`)
	for k := range known {
		stem := regexp.MustCompile(`\.(one|other)$`).ReplaceAllString(k, "")
		if !made.MatchString(k) && !strings.Contains(text.String(), `"`+strings.TrimPrefix(stem, "js.")+`"`) &&
			!strings.Contains(text.String(), `"`+stem+`"`) {
			t.Errorf("%q is used nowhere", k)
		}
	}
}

func TestSizesAndAges(t *testing.T) {
	ls, err := loadLanguages()
	if err != nil {
		t.Fatal(err)
	}
	en, fr := ls.byTag["en"], ls.byTag["fr"]
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1 kB", 1049: "1 kB", 1050: "1.1 kB", 9949: "9.9 kB", 9950: "10 kB", 999_499: "999 kB", 999_500: "1 MB",
		2_500_000: "2.5 MB", 4_700_000_000: "4.7 GB", 1 << 62: "4611686 TB",
	} {
		if got := en.Size(n); got != want {
			t.Errorf("%d bytes are %q, want %q", n, got, want)
		}
	}
	if got := fr.Size(2_500_000); got != "2,5 Mo" {
		t.Errorf("in French %q", got)
	}
	now := time.Unix(1e9, 0)
	for d, want := range map[time.Duration]string{
		-time.Hour: "just now", 0: "just now", 59 * time.Second: "just now", time.Minute: "1 min ago", 59*time.Minute + 59*time.Second: "59 min ago",
		time.Hour: "1 h ago", 47 * time.Hour: "47 h ago", 48 * time.Hour: "2 d ago", 400 * 24 * time.Hour: "400 d ago",
	} {
		if got := en.Age(now.Add(-d), now); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
	if got := en.T("js.file.away", "box", "x\u202e"); got != "still on \u2068x\u202e\u2069" {
		t.Errorf("a name is set in as %q", got)
	}
}

func TestVisitorKeys(t *testing.T) {
	v, w := newVisitorKeys(), newVisitorKeys()
	of := func(v *visitorKeys, addr string) string {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = addr
		return v.of(r)
	}
	a := of(&v, "192.0.2.1:1000")
	if a != of(&v, "192.0.2.1:2000") || a != of(&v, "[::ffff:192.0.2.1]:3000") {
		t.Error("one visitor has two keys")
	}
	if a == of(&v, "192.0.2.2:1000") || of(&v, "[fe80::1%eth0]:1") == of(&v, "[fe80::2%eth0]:1") {
		t.Error("two visitors have one key")
	}
	if a == of(&w, "192.0.2.1:1000") {
		t.Error("the key outlives its process")
	}
	if len(a) != 16 || strings.Contains(a, "192") || len(of(&v, "@")) != 16 {
		t.Errorf("key is %q", a)
	}
}

func TestReceiptsAreBoundedAndForgotten(t *testing.T) {
	now := time.Unix(1e9, 0)
	c := newReceipts(func() time.Time { return now })
	first := c.keep(make([]outcome, 1))
	for range maxReceipts - 1 {
		c.keep(make([]outcome, 1))
	}
	if _, ok := c.of(first); !ok {
		t.Error("gone before the limit")
	}
	last := c.keep(make([]outcome, MaxFilesPerForm))
	if _, ok := c.of(first); ok || len(c.kept) != maxReceipts {
		t.Errorf("%d kept", len(c.kept))
	}
	for range 4 {
		last = c.keep(make([]outcome, MaxFilesPerForm))
	}
	if c.files > maxReceiptFiles || len(c.kept) != 4 {
		t.Errorf("%d outcomes in %d receipts", c.files, len(c.kept))
	}
	now = now.Add(receiptLife)
	if _, ok := c.of(last); !ok {
		t.Error("gone too early")
	}
	now = now.Add(1)
	if _, ok := c.of(last); ok || c.files != 0 || len(c.order) != 0 {
		t.Error("kept too long")
	}
}

func TestKinds(t *testing.T) {
	for name, want := range map[string]string{
		"a.jpg": kindImage, "a.HEIC": kindImage, "a.mkv": kindVideo, "a.opus": kindAudio, "a.csv": kindText, "a.docx": kindDocument,
		"a.tgz": kindArchive, "a.apk": kindApp, "a.html": kindOther, "a.svg": kindOther, "a": kindOther, "a.b/c": kindOther, "": kindOther,
	} {
		if got := kindOf(name, ""); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	for ext, t1 := range byExtension {
		if isActive(ext) || inline[t1] && !strings.HasPrefix(t1, "image/") && !strings.HasPrefix(t1, "video/") && !strings.HasPrefix(t1, "audio/") &&
			t1 != textType && t1 != pdfType || t1 == "image/svg+xml" {
			t.Errorf("%s is served as %s", ext, t1)
		}
	}
}

func FuzzDisposition(f *testing.F) {
	for _, s := range []string{"", "a.txt", "a\"b", "é", "\r\nX: y", "%41", "\xff", strings.Repeat("x", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		base := path.Base(record.CleanName(name))
		d := disposition(true, base)
		kind, params, err := mime.ParseMediaType(d)
		if err != nil || kind != "attachment" || params["filename"] != record.CleanLine(base, record.MaxNamePart) {
			t.Errorf("%q gives %q, read as %q, %v", name, d, params["filename"], err)
		}
		for _, c := range []byte(d) {
			if c < 0x20 || c >= 0x7f {
				t.Errorf("%q gives %q", name, d)
			}
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, s := range []string{"", "q=a&offset=3&limit=10", "limit=501", "offset=-1", "q=%ff", "before=1-00", "lang=ar&q=%0d%0a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		v, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		if q, err := queryOf(v, DefaultPage); err == nil {
			if q.Offset < 0 || q.Offset > MaxOffset || q.Limit < 1 || q.Limit > MaxPage || len(q.Text) > MaxQuery ||
				q.Text != record.CleanLine(q.Text, MaxQuery) {
				t.Errorf("%q gives %+v", raw, q)
			}
		}
		if c, err := parseCursor(v.Get("before")); err == nil {
			again, err := parseCursor(fmt.Sprintf("%d-%s", c.Created, c.ID))
			if err != nil || again != c {
				t.Errorf("cursor %q is read as %+v", v.Get("before"), c)
			}
		}
	})
}

func FuzzHost(f *testing.F) {
	for _, s := range []string{"", "box.local:80", "[::1]:80", "a;b", "a b", "[fe80::1%25eth0]", strings.Repeat("a", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if policy := pagePolicy(host); strings.Count(policy, ";") != 7 || strings.ContainsAny(policy, "\r\n,") {
			t.Errorf("%q gives the policy %q", host, policy)
		}
		if h := hostOf(host); hostOf(strings.ToUpper(host)) != strings.ToLower(hostOf(host)) && !strings.ContainsFunc(host, func(r rune) bool { return r > 127 }) {
			t.Errorf("%q is %q by case", host, h)
		}
	})
}

func TestAPIDocumentNamesEveryField(t *testing.T) {
	doc, err := os.ReadFile("API.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{
		apiBoxJSON{Transfers: []apiTransfer{{}}}, apiPeerList{Peers: []apiPeer{{LastSeen: "x"}}}, apiFileList{Files: []apiFileJSON{{}}},
		apiDropped{}, apiResults{Results: []apiOutcome{{CID: "x", Problem: "x"}}}, apiMessageList{Messages: []apiMessage{{Reply: "x"}}, Before: "x"},
		apiDraft{}, apiError{apiProblem{RetryAfter: 1}}, liveEvent{Message: &apiMessage{}, ID: "x", Topics: []string{"x"}},
	} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"([A-Za-z]+)":`).FindAllStringSubmatch(string(b), -1) {
			if !strings.Contains(string(doc), "`"+m[1]+"`") && !strings.Contains(string(doc), `"`+m[1]+`"`) {
				t.Errorf("API.md says nothing of %q", m[1])
			}
		}
	}
}

func TestFragmentsAreBounded(t *testing.T) {
	f := newFragments()
	big := template.HTML(strings.Repeat("x", maxFragments/2))
	f.keep(1, big)
	f.keep(2, big)
	f.keep(2, big)
	if _, ok := f.get(1); !ok || f.size != maxFragments {
		t.Errorf("%d bytes at the limit", f.size)
	}
	f.keep(3, "x")
	if _, ok := f.get(1); ok || f.size != 1 {
		t.Errorf("%d bytes one past the limit", f.size)
	}
	f.keep(4, big+"x")
	if _, ok := f.get(4); ok {
		t.Error("one part takes more than its share")
	}
}
