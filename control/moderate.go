package control

import (
	"context"
	"io"
	"net/http"
	"net/url"
)

// Removed is what a takedown did.
type Removed struct {
	What   string `json:"what"`           // "file" or "message"
	Name   string `json:"name,omitempty"` // of the file
	CID    string `json:"cid,omitempty"`  // of the file
	Own    int    `json:"own"`            // records of this box: gone from every box that hears of it
	Others int    `json:"others"`         // records of other boxes: hidden here and where this box is trusted
	From   string `json:"from,omitempty"` // name of a box whose record is among the others
	Undone bool   `json:"undone"`         // by its undo code: gone from every box, whoever published it
	Freed  bool   `json:"freed"`          // its bytes were here and leave the disk
	Kept   bool   `json:"kept"`           // its bytes stay: another record names them
	Shared bool   `json:"shared"`         // it was a file of this box's own folder
}

// Trusted is a key whose takedowns hold on this box.
type Trusted struct {
	ID   string `json:"id"`
	Name string `json:"name"` // as this box's operator calls it
	Box  string `json:"box"`  // as that box calls itself, as far as it is known
}

// Block is something that this box refuses for itself alone. What is written as
// the command line takes it: a CID, author:KEY or name:PATTERN.
type Block struct {
	What string `json:"what"`
	Box  string `json:"box,omitempty"` // name of a blocked author
}

// Action is one line of the operator's log, which visitors can read.
type Action struct {
	Day  string `json:"day"`           // as 2026-07-14, UTC
	Did  string `json:"did"`           // remove, withdraw, trust, untrust, block, unblock
	What string `json:"what"`          // file, message, box, name
	Ref  string `json:"ref,omitempty"` // CID, record id, key or pattern
}

// Moderator is what an operator can do about what is shared. Its methods fail with
// ErrNotFound where nothing is what was asked for.
type Moderator interface {
	// Drop shares what r yields like a visitor's drop: for as long as its record
	// lives, or until the undo code in the answer is used.
	Drop(ctx context.Context, name string, r io.Reader) (Added, error)
	// Remove takes down a file by CID or name, or a message by its id. It returns
	// when the takedown is durable; the bytes follow.
	Remove(ctx context.Context, ref string) (Removed, error)
	// Undo takes down what an undo code, or the link that holds one, is for.
	Undo(ctx context.Context, code string) (Removed, error)
	// Trust lets the takedowns of a key hold here, those that are here already
	// too, and Untrust ends that.
	Trust(ctx context.Context, key, name string) error
	Untrust(ctx context.Context, key string) error
	Trusted() []Trusted
	// Block hides what is written as in Block.What, and takes no more of it in.
	Block(ctx context.Context, what string) error
	Unblock(ctx context.Context, what string) error
	Blocks() []Block
	// Actions is the operator's log, newest first.
	Actions() []Action
}

func (s *Server) moderation(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/drop", func(w http.ResponseWriter, r *http.Request) {
		if name, ok := query(w, r, "name"); ok {
			added, err := s.node.Drop(r.Context(), name, r.Body)
			answer(w)(added, err)
		}
	})
	mux.HandleFunc("POST /v1/remove", func(w http.ResponseWriter, r *http.Request) {
		if ref, ok := query(w, r, "ref"); ok {
			removed, err := s.node.Remove(r.Context(), ref)
			answer(w)(removed, err)
		}
	})
	mux.HandleFunc("POST /v1/undo", func(w http.ResponseWriter, r *http.Request) {
		if code, ok := query(w, r, "code"); ok {
			removed, err := s.node.Undo(r.Context(), code)
			answer(w)(removed, err)
		}
	})
	mux.HandleFunc("GET /v1/trust", func(w http.ResponseWriter, r *http.Request) { reply(w, s.node.Trusted()) })
	mux.HandleFunc("POST /v1/trust", func(w http.ResponseWriter, r *http.Request) {
		if key, ok := query(w, r, "key"); ok {
			if name, ok := query(w, r, "name"); ok {
				answer(w)(struct{}{}, s.node.Trust(r.Context(), key, name))
			}
		}
	})
	mux.HandleFunc("DELETE /v1/trust", func(w http.ResponseWriter, r *http.Request) {
		if key, ok := query(w, r, "key"); ok {
			answer(w)(struct{}{}, s.node.Untrust(r.Context(), key))
		}
	})
	mux.HandleFunc("GET /v1/blocks", func(w http.ResponseWriter, r *http.Request) { reply(w, s.node.Blocks()) })
	mux.HandleFunc("POST /v1/blocks", func(w http.ResponseWriter, r *http.Request) {
		if what, ok := query(w, r, "what"); ok {
			answer(w)(struct{}{}, s.node.Block(r.Context(), what))
		}
	})
	mux.HandleFunc("DELETE /v1/blocks", func(w http.ResponseWriter, r *http.Request) {
		if what, ok := query(w, r, "what"); ok {
			answer(w)(struct{}{}, s.node.Unblock(r.Context(), what))
		}
	})
	mux.HandleFunc("GET /v1/actions", func(w http.ResponseWriter, r *http.Request) { reply(w, s.node.Actions()) })
}

// answer writes what a call returned.
func answer(w http.ResponseWriter) func(v any, err error) {
	return func(v any, err error) {
		if err != nil {
			refuse(w, status(err), err)
			return
		}
		reply(w, v)
	}
}

// Drop shares the bytes of r as a visitor would.
func (c *Client) Drop(ctx context.Context, name string, r io.Reader) (Added, error) {
	return decode[Added](c.do(ctx, http.MethodPost, "/v1/drop", url.Values{"name": {name}}, r))
}

// Remove takes down a file by CID or name, or a message by its id.
func (c *Client) Remove(ctx context.Context, ref string) (Removed, error) {
	return decode[Removed](c.do(ctx, http.MethodPost, "/v1/remove", url.Values{"ref": {ref}}, nil))
}

// Undo takes down what an undo code or link is for.
func (c *Client) Undo(ctx context.Context, code string) (Removed, error) {
	return decode[Removed](c.do(ctx, http.MethodPost, "/v1/undo", url.Values{"code": {code}}, nil))
}

// Trust lets the takedowns of a key hold on the box; Untrust ends that.
func (c *Client) Trust(ctx context.Context, key, name string) error {
	return c.tell(ctx, http.MethodPost, "/v1/trust", url.Values{"key": {key}, "name": {name}})
}

// Untrust ends Trust.
func (c *Client) Untrust(ctx context.Context, key string) error {
	return c.tell(ctx, http.MethodDelete, "/v1/trust", url.Values{"key": {key}})
}

// Trusted lists the keys whose takedowns hold on the box.
func (c *Client) Trusted(ctx context.Context) ([]Trusted, error) {
	return ask[[]Trusted](ctx, c, "/v1/trust", nil)
}

// Block has the box hide and refuse something; Unblock ends that.
func (c *Client) Block(ctx context.Context, what string) error {
	return c.tell(ctx, http.MethodPost, "/v1/blocks", url.Values{"what": {what}})
}

// Unblock ends Block.
func (c *Client) Unblock(ctx context.Context, what string) error {
	return c.tell(ctx, http.MethodDelete, "/v1/blocks", url.Values{"what": {what}})
}

// Blocks lists what the box refuses for itself.
func (c *Client) Blocks(ctx context.Context) ([]Block, error) {
	return ask[[]Block](ctx, c, "/v1/blocks", nil)
}

// Actions is the operator's log, newest first.
func (c *Client) Actions(ctx context.Context) ([]Action, error) {
	return ask[[]Action](ctx, c, "/v1/actions", nil)
}

func (c *Client) tell(ctx context.Context, method, path string, q url.Values) error {
	_, err := decode[struct{}](c.do(ctx, method, path, q, nil))
	return err
}
