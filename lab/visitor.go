//go:build lab

package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"
)

// agent is what visitors' browsers call themselves: nothing of it may be found
// on a box.
const agent = "Mozilla/5.0 (Linux; lab-phone-7Q) AppleWebKit/605.1"

// Visitor is a browser on some host, looking at one box's page.
type Visitor struct {
	base string
	http *http.Client
}

// NewVisitor looks from a host at the box that address (IP and port) reaches.
func NewVisitor(from *Host, address string) *Visitor {
	return &Visitor{base: "http://" + address, http: &http.Client{
		Transport: &http.Transport{DialContext: from.Dial, MaxIdleConnsPerHost: 8},
		Timeout:   3 * time.Minute,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			r.Header.Set("User-Agent", agent)
			return nil
		},
	}}
}

// Visit looks from a host at a box on another.
func Visit(from *Host, b *Box) *Visitor {
	return NewVisitor(from, net.JoinHostPort(b.Addr().String(), port))
}

// StatusError is an answer that reports a failure.
type StatusError struct {
	Status int
	Body   string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("status %d: %.300s", e.Status, e.Body)
}

// Get fetches a small answer.
func (v *Visitor) Get(where string) (string, error) {
	resp, err := v.do(http.MethodGet, where, "", nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	return whole(resp)
}

// RefusedError is a page that says a drop was not saved.
type RefusedError struct{ Page string }

func (e *RefusedError) Error() string { return "the page says that nothing was saved" }

// Drop sends one file through the page's form, with the name as the browser
// has it, and returns the page that came back. Without an error that page said
// that the file is saved.
func (v *Visitor) Drop(name string, r io.Reader) (string, error) {
	body, contentType := form(name, r)
	resp, err := v.do(http.MethodPost, "/", contentType, body)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	page, err := whole(resp)
	if err == nil && strings.Contains(page, `data-state="refused"`) {
		return page, &RefusedError{page}
	}
	return page, err
}

// Send is a drop as the page's script does it, and returns what the API said.
func (v *Visitor) Send(name string, r io.Reader) (string, error) {
	resp, err := v.do(http.MethodPost, "/api/v1/files?"+url.Values{"name": {name}}.Encode(), "application/octet-stream", r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	return whole(resp)
}

// form streams a form with one file field (RFC 7578), quoting the name as
// browsers do (HTML standard, "multipart/form-data encoding algorithm").
func form(name string, r io.Reader) (io.Reader, string) {
	quoted := strings.NewReplacer("\r", "%0D", "\n", "%0A", `"`, "%22").Replace(name)
	pr, pw := io.Pipe()
	w := multipart.NewWriter(pw)
	go func() {
		part, err := w.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {`form-data; name="file"; filename="` + quoted + `"`},
			"Content-Type":        {"application/octet-stream"},
		})
		if err == nil {
			_, err = io.Copy(part, r)
		}
		if err == nil {
			err = w.Close()
		}
		pw.CloseWithError(err) // the request ends where this fails
	}()
	return pr, w.FormDataContentType()
}

// Say writes into the lobby with the page's form.
func (v *Visitor) Say(nick, text string) error {
	resp, err := v.do(http.MethodPost, "/chat/lobby", "application/x-www-form-urlencoded",
		strings.NewReader(url.Values{"nick": {nick}, "text": {text}}.Encode()))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = whole(resp)
	return err
}

var linkToFile = regexp.MustCompile(`href="(/f/[^"?#]+)`)

// Link is where the page's list offers the file of that name.
func (v *Visitor) Link(name string) (string, error) {
	page, err := v.Get("/")
	if err != nil {
		return "", err
	}
	for _, m := range linkToFile.FindAllStringSubmatch(page, -1) {
		link := html.UnescapeString(m[1])
		if last, err := url.PathUnescape(path.Base(link)); err == nil && last == name {
			return link, nil
		}
	}
	return "", fmt.Errorf("the page lists no %q", name)
}

// Fetch downloads what link names and returns the SHA-256 of the bytes.
func (v *Visitor) Fetch(link string) ([sha256.Size]byte, error) {
	resp, err := v.do(http.MethodGet, link, "", nil)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		_, err := whole(resp)
		return [sha256.Size]byte{}, err
	}
	h := sha256.New()
	if _, err := io.Copy(h, resp.Body); err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("download %s: %w", link, err)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// FetchNamed finds a name on the page and downloads it.
func (v *Visitor) FetchNamed(name string) ([sha256.Size]byte, error) {
	link, err := v.Link(name)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return v.Fetch(link)
}

// JSON reads an answer of the box's API.
func (v *Visitor) JSON(where string, into any) error {
	text, err := v.Get(where)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), into)
}

// Close drops the connections that are kept for the next request.
func (v *Visitor) Close() { v.http.CloseIdleConnections() }

func (v *Visitor) do(method, where, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, v.base+where, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", agent)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
		req.Header.Set("Origin", v.base)
	}
	return v.http.Do(req)
}

func whole(resp *http.Response) (string, error) {
	const most = 16 << 20
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(resp.Body, most)); err != nil {
		return "", err
	}
	if resp.StatusCode/100 != 2 {
		return b.String(), &StatusError{resp.StatusCode, b.String()}
	}
	return b.String(), nil
}

// foundIn reports whether text holds an address of the host, as text or as
// bytes.
func (h *Host) foundIn(text []byte) bool {
	for _, a := range []netip.Addr{h.V4(), h.V6()} {
		raw := a.AsSlice()
		if bytes.Contains(text, []byte(a.String())) || bytes.Contains(text, raw) {
			return true
		}
	}
	return bytes.Contains(text, fmt.Appendf(nil, "02:00:00:00:77:%02x", h.N))
}
