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

// Dial makes a client for the node that serves dir; ErrNotRunning where none
// answers.
func Dial(ctx context.Context, dir string) (*Client, error) {
	c := &Client{dir: dir}
	c.http = &http.Client{Transport: &http.Transport{DialContext: c.dial, MaxIdleConnsPerHost: 16, WriteBufferSize: 256 << 10}}
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

// Files lists what matches the words of text, newest first.
func (c *Client) Files(ctx context.Context, text string) ([]File, error) {
	body, err := c.do(ctx, http.MethodGet, "/v1/files", url.Values{"q": {text}}, nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return readAll[File](body)
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

// Say writes a message into a room.
func (c *Client) Say(ctx context.Context, room, nick, text string) (Message, error) {
	b, err := json.Marshal(saying{Room: room, Nick: nick, Text: text})
	if err != nil {
		return Message{}, fmt.Errorf("encode message: %w", err)
	}
	return decode[Message](c.do(ctx, http.MethodPost, "/v1/chat", nil, bytes.NewReader(b)))
}

// Follow calls each for every new message in room until ctx ends, the node
// stops (io.EOF) or each fails.
func (c *Client) Follow(ctx context.Context, room string, each func(Message) error) error {
	body, err := c.do(ctx, http.MethodGet, "/v1/follow", url.Values{"room": {room}}, nil)
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
			return io.EOF
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
		return v, fmt.Errorf("the node's answer broke off: %w", err)
	}
	return v, nil
}

func readAll[T any](r io.Reader) ([]T, error) {
	var all []T
	dec := json.NewDecoder(r)
	for {
		var v T
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the node's answer broke off: %w", err)
		}
		all = append(all, v)
	}
}

func (c *Client) do(ctx context.Context, method, path string, q url.Values, body io.Reader) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://node"+path+"?"+q.Encode(), body)
	if err != nil {
		return nil, fmt.Errorf("control request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err // "Get http://node/…" means nothing to a person
		}
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, MaxError))
	said := strings.TrimSpace(string(text))
	if resp.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, strings.TrimPrefix(said, ErrNotFound.Error()+": "))
	}
	return nil, errors.New(said)
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
