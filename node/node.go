// Package node is the composition root: it owns the node's identity, its
// libp2p host and the life of every part, and wires the parts to one another.
// What a part does is that part's own business; what crosses between parts, the
// shape of the network and the order of start and stop are decided here.
package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"

	"boucan/chat"
	"boucan/circle"
	"boucan/control"
	"boucan/discovery"
	"boucan/record"
	"boucan/replica"
	"boucan/share"
	"boucan/share/dropdir"
	"boucan/store"
	"boucan/webui"
)

const (
	// filesDir and storeDir are the parts of the data folder.
	filesDir = "files"
	storeDir = "store"
	// protocolVersion is what announcements say (spec/discovery.md).
	protocolVersion = "1"
)

// DefaultHTTP is where the page is served where nothing is said: to everybody in
// reach. A box of a circle serves it on CircleHTTP, to its own machine alone:
// whoever can open the page reads what the circle holds, key or no key.
const (
	DefaultHTTP = ":8080"
	CircleHTTP  = "127.0.0.1:8080"
)

// Config is what a node needs to know. Data must be set.
type Config struct {
	Data    string  // data folder; made where it is missing
	HTTP    string  // address of the web page, as net.Listen takes it; empty for DefaultHTTP
	Name    string  // of the box; empty for one chosen by its key
	Port    int     // TCP port for other boxes, 0 for any
	Profile Profile // zero for the one that suits this machine
	Scrub   int64   // bytes a second that the scrub reads at most: 0 for the profile's, below 0 for none by itself
	About   About   // what is said of the box on its page
	Policy  Policy  // what is copied, and how much may be kept
	// Logger hears what happens; nil discards. Addresses are taken out of all
	// that it is told.
	Logger *slog.Logger

	system func() time.Time // the system's clock; nil for the real one
	kept   func() bool      // whether something keeps system right; nil for no
}

// Node is one box. Open makes it, Run serves it, and it cannot be used again
// after Run.
type Node struct {
	config Config
	about  About
	home   string      // part of the data folder for the mesh it is in
	circle *circle.Key // nil in the open mesh
	name   string
	key    signer
	log    *slog.Logger
	clock  *clock

	lock      *os.File
	db        *store.DB
	dir       *dropdir.Dir
	host      host.Host
	web       net.Listener
	control   *control.Server
	trust     *trust
	actions   *actions
	records   *replica.Set
	syncer    *replica.Syncer
	blobs     *share.Blobs
	hub       *chat.Hub
	library   *library
	peers     *peers
	gossip    atomic.Pointer[gossip]
	card      atomic.Pointer[record.Record]
	ui        *webui.Server
	finder    *discovery.Service
	changed   *broadcast
	handlers  gate // of streams, and of what gossip brings
	addresses addresses

	moving sync.Mutex // guards what follows, and changes of the circle
	moved  bool       // to another mesh, for which the box starts anew
	stop   func()     // ends Run
}

// Open makes everything ready without serving yet: the data folder is locked,
// the ports are bound. Run must follow. It fails with a sentence for the
// operator, and leaves nothing open; ErrRunning is wrapped where another process
// serves the folder.
func Open(c Config) (n *Node, err error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Logger = slog.New(discreet{c.Logger.Handler()})
	if c.Profile == (Profile{}) {
		if c.Profile, err = ChooseProfile(""); err != nil {
			return nil, err
		}
	}
	about, err := c.About.clean()
	if err != nil {
		return nil, err
	}
	c.Profile.apply()
	n = &Node{config: c, about: about, log: c.Logger, changed: newBroadcast()}
	defer func() {
		if err != nil {
			n.close()
			n = nil
		}
	}()
	if n.lock, err = lockDataDir(c.Data); err != nil {
		return n, err
	}
	if n.home, n.circle, err = openHome(c.Data, n.log); err != nil {
		return n, err
	}
	private, err := loadIdentity(n.home)
	if err != nil {
		return n, err
	}
	n.key = signer{private}
	if n.name = record.CleanLine(c.Name, record.MaxNodeName); n.name == "" {
		n.name = defaultName(n.key.Key())
	}
	// The page's port before the store: a mistaken address is the commonest
	// fault, and it costs nothing to find.
	if n.web, err = listenHTTP(n.httpAddr()); err != nil {
		return n, err
	}
	if err := n.openStore(); err != nil {
		return n, err
	}
	if n.host, err = newHost(private, c.Port, c.Profile, n.sharedKey(), n.log); err != nil {
		return n, err
	}
	if err := n.wire(); err != nil {
		return n, err
	}
	if n.control, err = control.NewServer(c.Data, operator{n}, n.log); err != nil {
		return n, err
	}
	return n, nil
}

// httpAddr is where the page is served.
func (n *Node) httpAddr() string {
	switch {
	case n.config.HTTP != "":
		return n.config.HTTP
	case n.circle != nil:
		return CircleHTTP
	}
	return DefaultHTTP
}

// sharedKey is the private network's, nil in the open mesh.
func (n *Node) sharedKey() []byte {
	if n.circle == nil {
		return nil
	}
	return n.circle.Network()
}

func listenHTTP(addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("the web page cannot be served on %s: %w; name another with --http, as HOST:PORT or :PORT", addr, plainNetError(err))
	}
	return ln, nil
}

// plainNetError drops the parts of a network error that repeat the address.
func plainNetError(err error) error {
	if oe, ok := errors.AsType[*net.OpError](err); ok {
		if se, ok := errors.AsType[*os.SyscallError](oe.Err); ok {
			return se.Err
		}
		return oe.Err
	}
	return err
}

func (n *Node) openStore() (err error) {
	n.db, err = store.Open(filepath.Join(n.home, storeDir), store.Options{
		CacheBytes: n.config.Profile.StoreCache, Logger: n.log,
	})
	if err != nil {
		return storeError(filepath.Join(n.home, storeDir), err)
	}
	if n.clock, err = openClock(n.db.Table(store.Node), n.config.system, n.config.kept, n.log); err != nil {
		return err
	}
	if n.dir, err = dropdir.Open(n.FilesDir(), dropdir.Options{Logger: n.log}); err != nil {
		return fmt.Errorf("open the shared folder: %w", err)
	}
	return nil
}

// storeError says what an operator can do about a store that does not open.
func storeError(dir string, err error) error {
	for _, known := range []struct {
		is     error
		advice string
	}{
		{store.ErrNewer, "start that version, or name another folder with --data"},
		{store.ErrOtherEngine, "start it there, or name another folder with --data"},
		{store.ErrLocked, "stop that process, or name another folder with --data"},
		{store.ErrFull, "free some space, then start again"},
		{store.ErrDamaged, "check the disk; where the folder is moved away, a new store is made and what lies in " + filesDir + " is shared anew"},
	} {
		if errors.Is(err, known.is) {
			return fmt.Errorf("the store %s cannot be opened: %w; %s", dir, err, known.advice)
		}
	}
	return fmt.Errorf("the store %s cannot be opened: %w", dir, err)
}

// wire makes the parts and hands each what it needs of the others.
func (n *Node) wire() (err error) {
	if n.trust, err = openTrust(n.db.Table(store.Node), n.key.Key()); err != nil {
		return err
	}
	if n.actions, err = openActions(n.db.Table(store.Node)); err != nil {
		return err
	}
	n.records, err = replica.Open(n.db.Table(store.Records), replica.Options{
		Now: n.clock.Now, Settled: n.clock.Settled, Logger: n.log, Listener: listener{n}, Pusher: pusher{n}, Limits: n.config.Profile.recordLimits(),
		Trusted: n.trust.holds, Fold: dropdir.Fold,
	})
	if err != nil {
		return fmt.Errorf("open the records: %w", err)
	}
	if n.library, err = newLibrary(n); err != nil {
		return err
	}
	n.blobs, err = share.Open(n.dir, n.db.Table(store.Blobs), blobStreams{streams{n.host, blobProtocol}}, n.library, share.Options{
		Logger: n.log, Workers: n.config.Profile.HashWorkers, Chunks: n.config.Profile.Chunks, Reserve: n.config.Policy.reserve(), Now: n.clock.Now,
		Admit:   n.library.admit,
		Scrub:   n.config.scrubRate(),
		Changed: n.changed.tell,
		Seek:    func(author record.Key, waited bool) bool { return n.peers.seek(author, waited) },
	})
	if err != nil {
		return fmt.Errorf("open the shared files: %w", err)
	}
	n.library.blobs = n.blobs
	n.syncer = replica.NewSyncer(n.records, syncStreams{streams{n.host, syncProtocol}}, replica.SyncOptions{
		Self: n.key.Key(), Hello: n.hello, Heard: n.heard, Logger: n.log,
	})
	n.hub = chat.New(chatLog{n}, chat.Options{Now: n.clock.Now, Logger: n.log, BoxName: n.boxName})
	n.peers = newPeers(n.host, n.key.Key(), n.changed, n.log)
	n.peers.up = func(k record.Key) { n.syncer.PeerUp(k); n.blobs.PeerUp(k) }
	n.peers.down = func(k record.Key) { n.syncer.PeerDown(k); n.blobs.PeerDown(k); n.clock.gone(k) }
	n.ui, err = webui.New(files{n}, rooms{n}, box{n}, webui.Options{
		About: webui.About(n.about), Hosts: n.ownHost, Logger: n.log, Now: n.clock.Now, MarkKey: n.key.derive("boucan visitors' marks"),
	})
	if err != nil {
		return fmt.Errorf("make the web page: %w", err)
	}
	instance, err := newInstance()
	if err != nil {
		return err
	}
	look := discovery.Options{Logger: n.log, Clock: n.clock.Now}
	if n.circle != nil {
		look.Sealer = n.circle.Sealer()
	}
	n.finder = discovery.New(discovery.Self{
		ID: n.key.Key().String(), Instance: instance, Name: n.name, Protocol: protocolVersion,
		Port: uint16(listenPort(n.host.Network())), HTTPPort: uint16(n.announcedPort()),
	}, n.peers, look)
	if err := n.library.load(); err != nil {
		return fmt.Errorf("list the files: %w", err)
	}
	if err := n.loadCard(); err != nil {
		return fmt.Errorf("find this node's card: %w", err)
	}
	return nil
}
