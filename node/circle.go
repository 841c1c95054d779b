package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"boucan/circle"
	"boucan/control"
)

const (
	// circleFile holds the key of the circle that the box is in, in its text form,
	// readable by its owner only. Where there is none the box is in the open mesh.
	circleFile = "circle.key"
	// circlesDir holds a folder for each circle that the box was in, named by its
	// fingerprint: an identity, a store and shared files as the data folder itself
	// holds them for the open mesh. So nothing that was held in one is there in the
	// other, and nothing needs to be told apart.
	circlesDir = "circles"
	// forgetSuffix marks, next to a circle's folder, that it is to go.
	forgetSuffix = ".forget"
)

// ErrRestart is returned by Run where the node ended because its box joined or
// left a circle: Open it again.
var ErrRestart = errors.New("the box starts anew")

// Circle is what a data folder says of its box's circle.
type Circle struct {
	Fingerprint string // tells circles apart; empty in the open mesh
	Text        string // the key itself, as it is typed on another box
}

// NewCircle makes the key of a new circle and returns its text.
func NewCircle() (string, error) {
	k, err := circle.New()
	return k.Text(), err
}

// CircleTextSize is the number of letters and digits of a circle's key, and
// CircleTextCount how many a text has.
const CircleTextSize = circle.TextSize

// CircleTextCount counts what counts of a typed key.
func CircleTextCount(text string) int { return circle.Significant(text) }

// CheckCircle says what is wrong with the text of a key.
func CheckCircle(text string) (fingerprint string, err error) {
	k, err := circle.Parse(text)
	if err != nil {
		return "", err
	}
	return k.Fingerprint(), nil
}

// ReadCircle says which circle the box of a data folder is in, whether it runs
// or not.
func ReadCircle(dir string) (Circle, error) {
	k, err := loadCircle(dir)
	if err != nil || k == nil {
		return Circle{}, err
	}
	return Circle{Fingerprint: k.Fingerprint(), Text: k.Text()}, nil
}

// JoinCircle puts the box of a data folder into a circle. It fails with
// ErrRunning where the box runs: that one is asked through its control socket.
func JoinCircle(dir, text string) error {
	lock, err := lockDataDir(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	return joinCircle(dir, text)
}

// LeaveCircle takes the box of a data folder back into the open mesh, and with
// forget removes what the circle's folder holds. It fails as JoinCircle does.
func LeaveCircle(dir string, forget bool) error {
	lock, err := lockDataDir(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := leaveCircle(dir, forget); err != nil {
		return err
	}
	return forgetCircles(dir)
}

// loadCircle reads the key of the circle that a data folder's box is in; nil for
// the open mesh. A file that cannot be read is an error and never the open mesh:
// the box must not speak there by mistake.
func loadCircle(dir string) (*circle.Key, error) {
	path := filepath.Join(dir, circleFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the circle's key: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, circle.MaxText+1))
	if err != nil {
		return nil, fmt.Errorf("read the circle's key: %w", err)
	}
	k, err := circle.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("the circle's key in %s is damaged (%w): put back the right one, or \"boucan circle leave\" for the open mesh", path, err)
	}
	return &k, nil
}

var errInCircle = errors.New("this box is in another circle: \"boucan circle leave\" first")

func joinCircle(dir, text string) error {
	k, err := circle.Parse(text)
	if err != nil {
		return err
	}
	now, err := loadCircle(dir)
	switch {
	case err != nil:
		return err
	case now != nil && *now == k:
		return nil
	case now != nil:
		return errInCircle
	}
	if err := forgetCircles(dir); err != nil { // or it would go after it was joined anew
		return err
	}
	if err := writeDurable(dir, circleFile, []byte(k.Text()+"\n")); err != nil {
		return fmt.Errorf("save the circle's key: %w", err)
	}
	return nil
}

// leaveCircle marks the circle's folder first, then removes the key: a plug
// pulled in between leaves the box where it was.
func leaveCircle(dir string, forget bool) error {
	k, err := loadCircle(dir)
	if k == nil && err == nil {
		return errors.New("this box is in no circle")
	}
	if forget && err != nil {
		return fmt.Errorf("what the circle left cannot be found: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if forget {
		if err := makeCircleDir(root, ""); err != nil {
			return err
		}
		circles := filepath.Join(dir, circlesDir)
		if err := writeDurable(circles, k.Fingerprint()+forgetSuffix, nil); err != nil {
			return fmt.Errorf("mark the circle's folder: %w", err)
		}
	}
	if err := errors.Join(root.Remove(circleFile), syncDir(root, ".")); err != nil {
		return fmt.Errorf("remove the circle's key: %w", err)
	}
	return nil
}

// forgetCircles removes the folders that are marked, unless the box is in the
// circle again. The caller holds the data folder's lock and has opened none of
// them.
func forgetCircles(dir string) error {
	circles := filepath.Join(dir, circlesDir)
	list, err := os.ReadDir(circles)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list what circles left: %w", err)
	}
	now, err := loadCircle(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		name, marked := strings.CutSuffix(e.Name(), forgetSuffix)
		if !marked {
			continue
		}
		if now == nil || now.Fingerprint() != name {
			if err := os.RemoveAll(filepath.Join(circles, name)); err != nil {
				return fmt.Errorf("what a circle left cannot be removed whole: %w", err)
			}
		}
		if err := os.Remove(filepath.Join(circles, e.Name())); err != nil {
			return fmt.Errorf("what a circle left cannot be removed whole: %w", err)
		}
	}
	return nil
}

// openHome finds the part of the data folder that belongs to the mesh the box is
// in: the folder itself, or that of the circle whose key is returned.
func openHome(dir string, log *slog.Logger) (home string, key *circle.Key, err error) {
	if err := forgetCircles(dir); err != nil {
		log.Error("forgetting a circle is tried again at the next start", "error", err)
	}
	if key, err = loadCircle(dir); err != nil || key == nil {
		return dir, key, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", nil, err
	}
	defer root.Close()
	if err := makeCircleDir(root, key.Fingerprint()); err != nil {
		return "", nil, err
	}
	return filepath.Join(dir, circlesDir, key.Fingerprint()), key, nil
}

// makeCircleDir makes the folder of circles and one in it so that a power cut
// does not take it, with all that is put there.
func makeCircleDir(root *os.Root, name string) error {
	err := errors.Join(root.MkdirAll(filepath.Join(circlesDir, name), 0o700), syncDir(root, circlesDir), syncDir(root, "."))
	if err != nil {
		return fmt.Errorf("make the circle's folder: %w", err)
	}
	return nil
}

// syncDir makes the entries of a folder durable.
func syncDir(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (o operator) JoinCircle(text string) error {
	return o.n.changeCircle(func(dir string) error { return joinCircle(dir, text) })
}

func (o operator) LeaveCircle(forget bool) error {
	return o.n.changeCircle(func(dir string) error { return leaveCircle(dir, forget) })
}

// changeCircle has the node end where change made it one of another mesh.
func (n *Node) changeCircle(change func(dir string) error) error {
	n.moving.Lock()
	defer n.moving.Unlock()
	if n.moved {
		return control.ErrStopped
	}
	if err := change(n.config.Data); err != nil {
		return err
	}
	now, err := loadCircle(n.config.Data)
	if err != nil {
		return err
	}
	if now == nil && n.circle == nil || now != nil && n.circle != nil && *now == *n.circle {
		return nil
	}
	n.moved = true
	n.stop()
	return nil
}

func (n *Node) setStop(stop func()) {
	n.moving.Lock()
	defer n.moving.Unlock()
	n.stop = stop
}

func (n *Node) hasMoved() bool {
	n.moving.Lock()
	defer n.moving.Unlock()
	return n.moved
}
