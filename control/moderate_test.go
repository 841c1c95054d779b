package control_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"boucan/control"
)

// notedNode notes what it is asked to do, and refuses what is called "no".
type notedNode struct {
	*memoryNode
	mu    sync.Mutex
	asked []string
}

func (n *notedNode) note(words ...string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, strings.Join(words, " "))
	if slices.Contains(words, "no") {
		return errors.New("this is refused: say something else")
	}
	return nil
}

func (n *notedNode) Drop(_ context.Context, name string, r io.Reader) (control.Added, error) {
	b, err := io.ReadAll(r)
	return control.Added{Name: name, Undo: string(b)}, errors.Join(err, n.note("drop", name))
}

func (n *notedNode) Remove(_ context.Context, ref string) (control.Removed, error) {
	return control.Removed{Name: ref, Others: 2}, n.note("remove", ref)
}

func (n *notedNode) Undo(_ context.Context, code string) (control.Removed, error) {
	return control.Removed{Undone: true}, n.note("undo", code)
}

func (n *notedNode) Trust(_ context.Context, key, name string) error {
	return n.note("trust", key, name)
}
func (n *notedNode) Untrust(_ context.Context, key string) error  { return n.note("untrust", key) }
func (n *notedNode) Trusted() []control.Trusted                   { return []control.Trusted{{ID: "k", Name: "n"}} }
func (n *notedNode) Block(_ context.Context, what string) error   { return n.note("block", what) }
func (n *notedNode) Unblock(_ context.Context, what string) error { return n.note("unblock", what) }
func (n *notedNode) Blocks() []control.Block                      { return []control.Block{{What: "name:*.exe"}} }
func (n *notedNode) Actions() []control.Action                    { return []control.Action{{Did: "remove"}} }

func TestModeration(t *testing.T) {
	node := &notedNode{memoryNode: newMemoryNode()}
	c, stop := serve(t, t.TempDir(), node)
	defer stop()
	ctx := t.Context()
	if added, err := c.Drop(ctx, "a b?&", strings.NewReader("code")); err != nil || added.Name != "a b?&" || added.Undo != "code" {
		t.Errorf("%+v, %v", added, err)
	}
	if r, err := c.Remove(ctx, "ü"); err != nil || r.Name != "ü" || r.Others != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := c.Undo(ctx, "code"); err != nil || !r.Undone {
		t.Errorf("%+v, %v", r, err)
	}
	if err := errors.Join(c.Trust(ctx, "key", "name"), c.Untrust(ctx, "key"), c.Block(ctx, "name:*"), c.Unblock(ctx, "name:*")); err != nil {
		t.Error(err)
	}
	if want := []string{"drop a b?&", "remove ü", "undo code", "trust key name", "untrust key", "block name:*", "unblock name:*"}; !slices.Equal(node.asked, want) {
		t.Errorf("asked %q", node.asked)
	}
	trusted, err1 := c.Trusted(ctx)
	blocks, err2 := c.Blocks(ctx)
	actions, err3 := c.Actions(ctx)
	if err := errors.Join(err1, err2, err3); err != nil || trusted[0].Name != "n" || blocks[0].What != "name:*.exe" || actions[0].Did != "remove" {
		t.Errorf("%v %v %v %v", trusted, blocks, actions, err)
	}
	node.asked = nil
	long := strings.Repeat("x", control.MaxQuery+1)
	for _, bad := range []string{"no", long} {
		_, err1 := c.Drop(ctx, bad, strings.NewReader(""))
		_, err2 := c.Remove(ctx, bad)
		_, err3 := c.Undo(ctx, bad)
		for i, err := range []error{err1, err2, err3, c.Trust(ctx, bad, ""), c.Trust(ctx, "k", bad), c.Untrust(ctx, bad), c.Block(ctx, bad), c.Unblock(ctx, bad)} {
			if err == nil || bad == "no" && !strings.Contains(err.Error(), "say something else") || bad == long && !strings.Contains(err.Error(), "longer than") {
				t.Errorf("call %d with %.10q: %v", i, bad, err)
			}
		}
	}
	if len(node.asked) != 8 {
		t.Errorf("what was too long came through: %d calls", len(node.asked))
	}
}
