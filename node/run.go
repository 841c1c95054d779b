package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"boucan/record"
	"boucan/webui"
)

// grace is how long requests under way may go on after the first signal.
const grace = 2 * time.Second

// Run serves until soft ends: then it starts nothing new, says goodbye, lets
// what is under way finish for two seconds and closes. When hard ends it aborts
// at once. It returns nil after a clean stop, and what failed otherwise. Nothing
// of the node runs any more when it returns. ErrRestart says that the box joined
// or left a circle meanwhile.
func (n *Node) Run(soft, hard context.Context) error {
	defer n.close()
	back, stopBack := context.WithCancel(hard)
	defer stopBack()
	if err := n.library.finishLeaving(back); err != nil {
		return fmt.Errorf("look at what was being let go of: %w", err)
	}
	g, err := newGossip(back, n.host, &n.handlers, n.records.Receive)
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
	inner.Go(func() error { return n.config.Profile.keep(backCtx) })
	inner.Go(func() error { return n.followClock(backCtx) })
	inner.Go(func() error { return g.run(backCtx) })
	n.serve(backCtx, syncProtocol, func(ctx context.Context, k record.Key, s stream) error { return n.syncer.Serve(ctx, k, s) })
	n.serve(backCtx, blobProtocol, func(ctx context.Context, k record.Key, s stream) error { return n.blobs.Serve(ctx, k, s) })

	soft, stopFront := context.WithCancel(soft)
	defer stopFront()
	n.setStop(stopFront)
	defer context.AfterFunc(backCtx, stopFront)() // what fails behind ends the front
	front, frontCtx := errgroup.WithContext(soft)
	front.Go(func() error { return n.serveHTTP(frontCtx, hard) })
	front.Go(func() error { return n.ui.Run(frontCtx) })
	front.Go(func() error { return n.control.Run(frontCtx, hard) })
	front.Go(func() error { return n.finder.Run(frontCtx) })
	front.Go(func() error { return n.peers.run(frontCtx) })
	front.Go(func() error { return n.tellPages(frontCtx) })
	front.Go(func() error { return n.keepCard(frontCtx) })
	err = front.Wait()
	stopBack()
	n.handlers.shut()
	if err = errors.Join(err, inner.Wait()); err == nil && n.hasMoved() {
		return ErrRestart
	}
	return err
}

// serveHTTP serves the page until soft ends, then gives requests under way a
// moment, none when hard ends. It returns when the last handler has.
func (n *Node) serveHTTP(soft, hard context.Context) error {
	base, cancel := context.WithCancel(hard)
	defer cancel()
	var requests gate
	srv := &http.Server{
		Handler:           requests.guard(n.ui),
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
	})
	err := srv.Serve(n.web)
	if !stop() {
		<-stopped
	}
	cancel()
	_ = srv.Close()
	requests.shut()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("the web page stopped being served: %w", plainNetError(err))
}

// close gives everything back, last taken first. It may be called on a
// half-opened node.
func (n *Node) close() {
	var err error
	if n.control != nil {
		err = errors.Join(err, n.control.Close())
	}
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
	next := n.changed.wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next:
			next = n.changed.wait() // first, so that no change falls between
			n.ui.Changed(webui.FilesChanged | webui.BoxChanged)
		case <-tick.C:
			if len(n.blobs.Transfers()) > 0 {
				n.ui.Changed(webui.TransfersChanged)
			}
		}
	}
}
