// Package node is the composition root: it owns the node's identity, its
// libp2p host and the life of every part, and wires the parts to one another.
// What a part does is that part's own business; what crosses between parts, the
// shape of the network and the order of start and stop are decided here.
package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"golang.org/x/sync/errgroup"

	"boucan/chat"
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
	// grace is how long requests under way may go on after the first signal.
	grace = 2 * time.Second
	// reserve is the free space that is never eaten: a full disk under a
	// memory-mapped store kills the process.
	reserve = 64 << 20
	// cardLife and cardEvery are how long this node's card lives and how often
	// it is renewed.
	cardLife  = 3 * 24 * time.Hour
	cardEvery = 24 * time.Hour
	// protocolVersion is what announcements say (spec/discovery.md).
	protocolVersion = "1"
)

// Config is what a node needs to know. Data and HTTP must be set.
type Config struct {
	Data    string // data folder; made where it is missing
	HTTP    string // address of the web page, as net.Listen takes it
	Name    string // of the box; empty for one chosen by its key
	Port    int    // TCP port for other boxes, 0 for any
	Profile Profile
	Logger  *slog.Logger // nil discards
}

// Node is one box. Open makes it, Run serves it, and it cannot be used again
// after Run.
type Node struct {
	config Config
	name   string
	key    signer
	log    *slog.Logger
	clock  *clock

	lock     io.Closer
	db       *store.DB
	dir      *dropdir.Dir
	host     host.Host
	web      net.Listener
	control  *control.Server
	records  *replica.Set
	syncer   *replica.Syncer
	blobs    *share.Blobs
	hub      *chat.Hub
	library  *library
	peers    *peers
	gossip   atomic.Pointer[gossip]
	card     atomic.Pointer[record.Record]
	ui       *webui.Server
	finder   *discovery.Service
	changed  *broadcast
	handlers gate
}

// Open makes everything ready without serving yet: the data folder is locked,
// the ports are bound. ctx bounds the opening and the life of what libp2p runs
// by itself. It fails with a sentence for the operator; ErrRunning is wrapped
// where another process serves the folder.
func Open(ctx context.Context, c Config) (n *Node, err error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Profile.apply()
	n = &Node{config: c, log: c.Logger, changed: newBroadcast()}
	defer func() {
		if err != nil {
			n.close()
			n = nil
		}
	}()
	if n.lock, err = lockDataDir(c.Data); err != nil {
		return n, err
	}
	private, err := loadIdentity(c.Data)
	if err != nil {
		return n, err
	}
	n.key = signer{private}
	if n.name = record.CleanLine(c.Name, record.MaxNodeName); n.name == "" {
		n.name = defaultName(n.key.Key())
	}
	// The page's port before the store: a mistaken address is the commonest
	// fault, and it costs nothing to find.
	if n.web, err = listenHTTP(c.HTTP); err != nil {
		return n, err
	}
	if err := n.openStore(); err != nil {
		return n, err
	}
	if n.host, err = newHost(private, c.Port, c.Profile, n.log); err != nil {
		return n, err
	}
	if err := n.wire(ctx); err != nil {
		return n, err
	}
	if n.control, err = control.NewServer(c.Data, operator{n}, n.log); err != nil {
		return n, err
	}
	return n, nil
}

func listenHTTP(addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("the web page cannot be served on %s: %w; choose another address with --http", addr, plainNetError(err))
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
	n.db, err = store.Open(filepath.Join(n.config.Data, storeDir), store.Options{
		CacheBytes: n.config.Profile.StoreCache, Logger: n.log,
	})
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	if n.clock, err = openClock(n.db.Table(store.Node)); err != nil {
		return err
	}
	if n.dir, err = dropdir.Open(n.FilesDir(), dropdir.Options{Logger: n.log}); err != nil {
		return fmt.Errorf("open the shared folder: %w", err)
	}
	return nil
}

// wire makes the parts and hands each what it needs of the others.
func (n *Node) wire(ctx context.Context) (err error) {
	n.records, err = replica.Open(n.db.Table(store.Records), replica.Options{
		Now: n.clock.Now, Logger: n.log, Listener: listener{n}, Pusher: pusher{n},
	})
	if err != nil {
		return fmt.Errorf("open the records: %w", err)
	}
	n.library = newLibrary(n)
	n.blobs, err = share.Open(n.dir, n.db.Table(store.Blobs), blobStreams{streams{n.host, blobProtocol}}, n.library, share.Options{
		Logger: n.log, Workers: n.config.Profile.HashWorkers, Reserve: reserve, Now: n.clock.Now,
	})
	if err != nil {
		return fmt.Errorf("open the shared files: %w", err)
	}
	n.library.blobs = n.blobs
	n.syncer = replica.NewSyncer(n.records, syncStreams{streams{n.host, syncProtocol}}, replica.SyncOptions{
		Self: n.key.Key(), Hello: n.hello, Logger: n.log,
	})
	n.hub = chat.New(chatLog{n}, chat.Options{Now: n.clock.Now, Logger: n.log, BoxName: n.boxName})
	n.peers = newPeers(n.host, n.key.Key(), n.changed, n.log)
	n.peers.up = func(k record.Key) { n.syncer.PeerUp(k); n.blobs.PeerUp(k) }
	n.peers.down = func(k record.Key) { n.syncer.PeerDown(k); n.blobs.PeerDown(k) }
	n.ui, err = webui.New(files{n}, rooms{n}, box{n}, webui.Options{Hosts: n.ownHost, Logger: n.log, Now: n.clock.Now})
	if err != nil {
		return fmt.Errorf("make the web page: %w", err)
	}
	instance, err := newInstance()
	if err != nil {
		return err
	}
	n.finder = discovery.New(discovery.Self{
		ID: n.key.Key().String(), Instance: instance, Name: n.name, Protocol: protocolVersion,
		Port: uint16(listenPort(n.host.Network())), HTTPPort: uint16(n.announcedPort()),
	}, n.peers, discovery.Options{Logger: n.log})
	return n.library.load(ctx)
}

// Run serves until soft ends: then it starts nothing new, says goodbye, lets
// what is under way finish for two seconds and closes. When hard ends it aborts
// at once. It returns nil after a clean stop, and what failed otherwise.
func (n *Node) Run(soft, hard context.Context) error {
	defer n.close()
	back, stopBack := context.WithCancel(hard)
	defer stopBack()
	g, err := newGossip(back, n.host, n.records.Receive)
	if err != nil {
		return err
	}
	n.gossip.Store(g)
	inner, backCtx := errgroup.WithContext(back)
	inner.Go(func() error { return n.records.Run(backCtx) })
	inner.Go(func() error { return n.syncer.Run(backCtx) })
	inner.Go(func() error { return n.blobs.Run(backCtx) })
	inner.Go(func() error { return n.library.run(backCtx) })
	inner.Go(func() error { return n.clock.run(backCtx) })
	inner.Go(func() error { return g.run(backCtx) })
	n.serve(backCtx, syncProtocol, func(ctx context.Context, k record.Key, s stream) error { return n.syncer.Serve(ctx, k, s) })
	n.serve(backCtx, blobProtocol, func(ctx context.Context, k record.Key, s stream) error { return n.blobs.Serve(ctx, k, s) })

	soft, stopFront := context.WithCancel(soft)
	defer stopFront()
	defer context.AfterFunc(backCtx, stopFront)() // what fails behind ends the front
	front, frontCtx := errgroup.WithContext(soft)
	front.Go(func() error { return n.serveHTTP(frontCtx, hard) })
	front.Go(func() error { return n.ui.Run(frontCtx) })
	front.Go(func() error { return n.control.Run(frontCtx) })
	front.Go(func() error { return n.finder.Run(frontCtx) })
	front.Go(func() error { return n.peers.run(frontCtx) })
	front.Go(func() error { return n.tellPages(frontCtx) })
	front.Go(func() error { return n.renewCard(frontCtx) })
	err = front.Wait()
	stopBack()
	n.handlers.shut()
	return errors.Join(err, inner.Wait())
}

// serveHTTP serves the page until soft ends, then gives requests under way a
// moment, none when hard ends.
func (n *Node) serveHTTP(soft, hard context.Context) error {
	base, cancel := context.WithCancel(hard)
	defer cancel()
	srv := &http.Server{
		Handler:           n.ui,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		BaseContext:       func(net.Listener) context.Context { return base },
		// What the standard library logs of a connection names its address.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(soft, func() {
		defer close(stopped)
		soon, done := context.WithTimeout(base, grace)
		defer done()
		_ = srv.Shutdown(soon)
		cancel()
		_ = srv.Close()
	})
	err := srv.Serve(n.web)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("web page: %w", err)
}

// close gives everything back, last taken first. It may be called on a
// half-opened node.
func (n *Node) close() {
	var err error
	if n.host != nil {
		err = errors.Join(err, n.host.Close())
	}
	if n.web != nil {
		_ = n.web.Close() // the server may have closed it already
	}
	if n.dir != nil {
		err = errors.Join(err, n.dir.Close())
	}
	if n.db != nil {
		err = errors.Join(err, n.db.Close())
	}
	if n.lock != nil {
		err = errors.Join(err, n.lock.Close())
	}
	if err != nil {
		n.log.Error("closing failed", "error", err)
	}
}

// tellPages passes changes on to the open pages, and how far transfers have
// come once a second.
func (n *Node) tellPages(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		next := n.changed.wait()
		select {
		case <-ctx.Done():
			return nil
		case <-next:
			n.ui.Changed(webui.FilesChanged | webui.BoxChanged)
		case <-tick.C:
			if len(n.blobs.Transfers()) > 0 {
				n.ui.Changed(webui.TransfersChanged)
			}
		}
	}
}

// renewCard publishes what this node says about itself, now and daily.
func (n *Node) renewCard(ctx context.Context) error {
	tick := time.NewTicker(cardEvery)
	defer tick.Stop()
	for {
		count, bytes := n.library.names.size()
		card := record.Card{Name: n.name, Software: "boucan " + version, Files: uint64(count), Bytes: bytes}
		r, err := n.key.sign(record.Draft{Created: n.clock.Now(), Life: cardLife, Body: card})
		if err == nil {
			n.card.Store(r)
			err = n.records.Publish(ctx, r)
		}
		if err != nil && ctx.Err() == nil {
			n.log.Warn("publishing this node's card failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// listener hears of changes of the record set and passes each to the part that
// shows it. It implements replica.Listener.
type listener struct{ n *Node }

func (l listener) Changed(added, removed []*record.Record) {
	l.n.library.take(added, removed)
	for _, r := range added {
		if r.Kind == record.KindMessage {
			l.n.hub.Deliver(r)
		}
	}
	for _, r := range removed {
		if r.Kind == record.KindMessage {
			l.n.hub.Withdraw(r)
		}
	}
}

// pusher hands new records to gossip once that runs. It implements
// replica.Pusher.
type pusher struct{ n *Node }

func (p pusher) Push(ctx context.Context, raw []byte) error {
	g := p.n.gossip.Load()
	if g == nil {
		return nil // nobody is connected yet; reconciling brings it
	}
	if err := g.Push(ctx, raw); err != nil {
		return err
	}
	if g.audience() < p.n.peers.connected() {
		return errDeaf
	}
	return nil
}

// errDeaf says that a push cannot have reached everybody: a peer is connected
// whose gossip has not joined yet. The record set then reconciles soon.
var errDeaf = errors.New("a connected peer does not hear pushes yet")

// gate counts what is running so that closing can wait for it.
type gate struct {
	mu     sync.Mutex // guards closed, and orders enter before shut's wait
	closed bool
	inside sync.WaitGroup
}

// enter reports whether the gate was open; then leave must follow.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.inside.Add(1)
	}
	return !g.closed
}

func (g *gate) leave() { g.inside.Done() }

// shut lets nobody in any more and waits until all have left.
func (g *gate) shut() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.inside.Wait()
}
