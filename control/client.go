package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Client talks to the node that serves a data folder. Safe for concurrent use.
type Client struct {
	http *http.Client
	dir  string
}

// expectTimeout is how long Add waits for the node's word that it takes the
// file before the bytes are sent without it.
const expectTimeout = 5 * time.Second

// Dial makes a client for the node that serves dir; ErrNotRunning where none
// answers.
func Dial(ctx context.Context, dir string) (*Client, error) {
	c := &Client{dir: dir}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext: c.dial, MaxIdleConnsPerHost: 16, WriteBufferSize: 256 << 10, ExpectContinueTimeout: expectTimeout,
	}}
	if _, err := c.Identity(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	path, done, err := socketPath(c.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, c.notRunning()
	}
	if err != nil {
		return nil, err
	}
	defer done()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, c.notRunning()
	}
	return conn, err
}

func (c *Client) notRunning() error {
	return fmt.Errorf("%w on %s: start one with \"boucan\", or name its folder with --data", ErrNotRunning, c.dir)
}

// Identity asks the node who it is.
func (c *Client) Identity(ctx context.Context) (Identity, error) {
	return ask[Identity](ctx, c, "/v1/id", nil)
}

// Peers lists the boxes that were met.
func (c *Client) Peers(ctx context.Context) ([]Peer, error) {
	return ask[[]Peer](ctx, c, "/v1/peers", nil)
}

// Files calls each for what matches the words of text, newest first, until it
// fails, and returns its error.
func (c *Client) Files(ctx context.Context, text string, each func(File) error) error {
	body, err := c.do(ctx, http.MethodGet, "/v1/files", url.Values{"q": {text}}, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	dec := json.NewDecoder(body)
	for {
		var f File
		err := dec.Decode(&f)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return errBrokenOff
		}
		if err := each(f); err != nil {
			return err
		}
	}
}

// Policy is what the node was told to keep, and what it keeps.
func (c *Client) Policy(ctx context.Context) (Policy, error) {
	return ask[Policy](ctx, c, "/v1/policy", nil)
}

// Pin has a file kept, and fetched if need be; Unpin takes that back.
func (c *Client) Pin(ctx context.Context, ref string) (File, error) {
	return decode[File](c.do(ctx, http.MethodPost, "/v1/pin", url.Values{"ref": {ref}}, nil))
}

// Unpin is the opposite of Pin.
func (c *Client) Unpin(ctx context.Context, ref string) (File, error) {
	return decode[File](c.do(ctx, http.MethodPost, "/v1/unpin", url.Values{"ref": {ref}}, nil))
}

// Lookup finds one file by CID or name.
func (c *Client) Lookup(ctx context.Context, ref string) (File, error) {
	return ask[File](ctx, c, "/v1/file", url.Values{"ref": {ref}})
}

// Get opens the bytes of one file; the node waits for them where they are not
// here yet. The caller closes the reader.
func (c *Client) Get(ctx context.Context, ref string) (io.ReadCloser, error) {
	return c.do(ctx, http.MethodGet, "/v1/bytes", url.Values{"ref": {ref}}, nil)
}

// Add offers the bytes of r under name.
func (c *Client) Add(ctx context.Context, name string, modified time.Time, r io.Reader) (Added, error) {
	q := url.Values{"name": {name}}
	if !modified.IsZero() {
		q.Set("modified", strconv.FormatInt(modified.UnixMilli(), 10))
	}
	return decode[Added](c.do(ctx, http.MethodPost, "/v1/files", q, r))
}

// History lists the newest messages of a room, oldest of them first.
func (c *Client) History(ctx context.Context, room string, limit int) ([]Message, error) {
	return ask[[]Message](ctx, c, "/v1/chat", url.Values{"room": {room}, "limit": {strconv.Itoa(limit)}})
}

// Clock asks what the node knows of the time.
func (c *Client) Clock(ctx context.Context) (Clock, error) {
	return ask[Clock](ctx, c, "/v1/clock", nil)
}

// SetClock says what time it is.
func (c *Client) SetClock(ctx context.Context, now time.Time) (Clock, error) {
	q := url.Values{"time": {strconv.FormatInt(now.UnixMilli(), 10)}}
	return decode[Clock](c.do(ctx, http.MethodPost, "/v1/clock", q, nil))
}

// Confirm says that what lies in the shared folder now is right.
func (c *Client) Confirm(ctx context.Context) error {
	_, err := decode[Identity](c.do(ctx, http.MethodPost, "/v1/confirm", nil, nil))
	return err
}

// Scrub tells how far the scrub is, after an order: ScrubStart, ScrubPause,
// ScrubResume, or none.
func (c *Client) Scrub(ctx context.Context, order string) (Scrub, error) {
	if order == "" {
		return ask[Scrub](ctx, c, "/v1/scrub", nil)
	}
	return decode[Scrub](c.do(ctx, http.MethodPost, "/v1/scrub", url.Values{"do": {order}}, nil))
}

// JoinCircle makes the box one of the circle whose key text is. The box starts
// anew for it, and answers again when it has.
func (c *Client) JoinCircle(ctx context.Context, text string) error {
	_, err := decode[struct{}](c.do(ctx, http.MethodPost, "/v1/circle", nil, strings.NewReader(text)))
	return err
}

// LeaveCircle takes the box back into the open mesh, as JoinCircle does into a
// circle. With forget, what the circle's folder holds is removed.
func (c *Client) LeaveCircle(ctx context.Context, forget bool) error {
	_, err := decode[struct{}](c.do(ctx, http.MethodDelete, "/v1/circle", url.Values{"forget": {strconv.FormatBool(forget)}}, nil))
	return err
}

// Say writes a message into a room.
func (c *Client) Say(ctx context.Context, room, nick, text string) (Message, error) {
	b, err := json.Marshal(saying{Room: room, Nick: nick, Text: text})
	if err != nil {
		return Message{}, fmt.Errorf("encode message: %w", err)
	}
	return decode[Message](c.do(ctx, http.MethodPost, "/v1/chat", nil, bytes.NewReader(b)))
}

// Follow calls each for the last messages in room, oldest of them first, and for
// every new one, until ctx ends, which is no error, the node stops
// (ErrStopped) or each fails.
func (c *Client) Follow(ctx context.Context, room string, last int, each func(Message) error) error {
	body, err := c.do(ctx, http.MethodGet, "/v1/follow", url.Values{"room": {room}, "last": {strconv.Itoa(last)}}, nil)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer body.Close()
	dec := json.NewDecoder(body)
	for {
		var m Message
		if err := dec.Decode(&m); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return ErrStopped
		}
		if err := each(m); err != nil {
			return err
		}
	}
}

func ask[T any](ctx context.Context, c *Client, path string, q url.Values) (T, error) {
	return decode[T](c.do(ctx, http.MethodGet, path, q, nil))
}

func decode[T any](body io.ReadCloser, err error) (T, error) {
	var v T
	if err != nil {
		return v, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&v); err != nil {
		return v, errBrokenOff
	}
	return v, nil
}

// errBrokenOff says that the node went away in the middle of an answer.
var errBrokenOff = errors.New("the box's answer broke off")

func (c *Client) do(ctx context.Context, method, path string, q url.Values, body io.Reader) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://node"+path+"?"+q.Encode(), body)
	if err != nil {
		return nil, fmt.Errorf("control request: %w", err)
	}
	if method == http.MethodPost && req.ContentLength <= 0 {
		// A file that is refused is not to be sent first: the answer might be
		// lost with the connection.
		req.Header.Set("Expect", "100-continue")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, plainError(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, MaxError))
	said := strings.TrimSpace(string(text))
	switch resp.StatusCode {
	case http.StatusNotFound:
		return nil, fmt.Errorf("%w: %s", ErrNotFound, strings.TrimPrefix(said, ErrNotFound.Error()+": "))
	case http.StatusServiceUnavailable:
		return nil, ErrStopped
	}
	return nil, errors.New(said)
}

// plainError says in plain words what became of a request. "Get http://node/…"
// means nothing to a person.
func plainError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	for _, broken := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.EPIPE, syscall.ECONNRESET} {
		if errors.Is(err, broken) {
			return ErrStopped
		}
	}
	return err
}

// socketPath is a path to the socket that fits a Unix address, which holds
// about 100 bytes: through an open file descriptor of the folder where the
// folder's own path is longer. done must be called after use.
func socketPath(dir string) (path string, done func(), err error) {
	const longest = 100
	path = filepath.Join(dir, SocketName)
	if len(path) <= longest {
		return path, func() {}, nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	short := fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), SocketName)
	return short, func() { _ = f.Close() }, nil
}
