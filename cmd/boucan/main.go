// Command boucan turns this machine into a local sharing box: people join its
// network, open its page, drop files and talk; boxes in reach find one another
// and replicate. Run without arguments it serves; the other commands talk to
// the running box. This package holds flags, environment, output and exit codes
// and nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"boucan/control"
	"boucan/node"
)

// Exit codes, listed in the help.
const (
	exitFailed     = 1
	exitUsage      = 2
	exitNotRunning = 3
	exitNotFound   = 4
	exitPartly     = 5
	exitRunning    = 6
)

const description = `A local sharing box: no account, no log, no Internet.

Run without a command it serves a box from this machine. Every other command
talks to the box that runs on the same data folder.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no box is running, 4 no such
file, 5 some of the files failed, 6 a box is already running.`

// globals are the flags that every command takes.
type globals struct {
	Data    string `help:"Data folder: identity, store and the shared files. Default: $XDG_DATA_HOME/boucan, or ~/.local/share/boucan." placeholder:"DIR" env:"BOUCAN_DATA" type:"path"`
	HTTP    string `name:"http" help:"Address the web page is served on, as HOST:PORT or :PORT. Default: :8080, and in a circle 127.0.0.1:8080, this machine alone." placeholder:"ADDR" env:"BOUCAN_HTTP"`
	Name    string `help:"Name of this box, as people see it. Default: two words chosen by its key." placeholder:"NAME" env:"BOUCAN_NAME"`
	Profile string `help:"Memory and connection limits: router, board or server. Default: chosen from this machine's memory." placeholder:"PROFILE" enum:"auto,router,board,server" default:"auto" env:"BOUCAN_PROFILE"`
	Port    uint16 `help:"TCP port for other boxes; another is taken where it is in use." default:"9472" env:"BOUCAN_PORT"`
	Scrub   rate   `help:"How fast the files are read once a month to find damage: bytes a second, as in 500K or 4M, off for not by itself, auto by the profile." placeholder:"RATE" default:"auto" env:"BOUCAN_SCRUB"`
	Verbose bool   `short:"v" help:"Log what happens in detail." env:"BOUCAN_VERBOSE"`

	policyFlags
	aboutFlags
}

// cli is the whole command line; kong reads the tags.
type cli struct {
	globals

	Serve   serveCmd   `cmd:"" default:"withargs" help:"Serve a box (the default)."`
	Add     addCmd     `cmd:"" help:"Share files or folders; prints a CID a line."`
	Ls      lsCmd      `cmd:"" help:"List the files of this and all met boxes."`
	Get     getCmd     `cmd:"" help:"Fetch a file by CID or name."`
	Peers   peersCmd   `cmd:"" help:"List the boxes met."`
	Search  searchCmd  `cmd:"" help:"List the files whose name, description or box holds all words."`
	Remove  removeCmd  `cmd:"" help:"Take a file or message down."`
	Undo    undoCmd    `cmd:"" help:"Take a drop back by its undo code."`
	Block   blockCmd   `cmd:"" help:"Hide a file, a box or a name on this box alone."`
	Unblock unblockCmd `cmd:"" help:"End a block."`
	Blocks  blocksCmd  `cmd:"" help:"List what is blocked."`
	Trust   trustCmd   `cmd:"" help:"Let another box's removals count here, or list those that do."`
	Untrust untrustCmd `cmd:"" help:"End that."`
	Actions actionsCmd `cmd:"" help:"Show what this box's operator removed and blocked."`
	Pin     pinCmd     `cmd:"" help:"Keep files here, and fetch them, whatever the policy says."`
	Unpin   unpinCmd   `cmd:"" help:"End that."`
	Policy  policyCmd  `cmd:"" help:"Say what is copied and kept here, and how much room it takes."`
	Confirm confirmCmd `cmd:"" help:"Say that what lies in the shared folder now is right."`
	Scrub   scrubCmd   `cmd:"" help:"Tell of damaged files, and how far the reading of all files is."`
	Clock   clockCmd   `cmd:"" help:"Show the box's clock, or set it."`
	Chat    chatCmd    `cmd:"" help:"Send a message, or follow a room."`
	Circle  circleCmd  `cmd:"" help:"Make, enter, show or leave a circle: a closed mesh with a key."`
	ID      idCmd      `cmd:"" name:"id" help:"Say who and where the running box is."`
	Version versionCmd `cmd:"" help:"Print version and build."`
}

// session is what a command runs with.
type session struct {
	ctx    context.Context // first signal: finish
	hard   context.Context // second signal: abort
	out    io.Writer
	errOut io.Writer
	in     *os.File
	globals
}

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	var c cli
	parser, err := kong.New(&c, kong.Name("boucan"), kong.Description(description),
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 80}))
	if err != nil {
		fmt.Fprintln(os.Stderr, "boucan:", err)
		return exitFailed
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "boucan: %v\nTry \"boucan --help\".\n", err)
		return exitUsage
	}
	hard, abort := context.WithCancel(context.Background())
	defer abort()
	soft, stop := signal.NotifyContext(hard, stopSignals()...)
	defer stop()
	context.AfterFunc(soft, func() { abortOnSecond(abort) })

	s := &session{ctx: soft, hard: hard, out: os.Stdout, errOut: os.Stderr, in: os.Stdin, globals: c.globals}
	err = parsed.Run(s)
	switch {
	case err == nil:
		return 0
	case soft.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "boucan: stopped")
	default:
		fmt.Fprintln(os.Stderr, "boucan:", err)
	}
	return exitCode(err)
}

// stopSignals are those that ask to stop. Closing the terminal is one, unless
// whoever started the program said that it is not (nohup).
func stopSignals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// abortOnSecond calls abort at the next signal: whoever presses Ctrl-C twice
// does not want to wait. A third ends the program as if nobody caught it;
// nothing that was acknowledged is lost by that.
func abortOnSecond(abort func()) {
	again := make(chan os.Signal, 1)
	signal.Notify(again, stopSignals()...)
	<-again
	signal.Reset(stopSignals()...)
	abort()
}

// errPartly says that some of several files failed; each was named before.
var errPartly = errors.New("not all files could be shared")

func exitCode(err error) int {
	switch {
	case errors.Is(err, control.ErrNotRunning):
		return exitNotRunning
	case errors.Is(err, control.ErrNotFound):
		return exitNotFound
	case errors.Is(err, node.ErrRunning):
		return exitRunning
	case errors.Is(err, errPartly):
		return exitPartly
	}
	return exitFailed
}

// dataDir is the folder that --data names, or the default one.
func (s *session) dataDir() (string, error) {
	if s.Data != "" {
		return s.Data, nil
	}
	return node.DefaultDataDir()
}

// dial reaches the running box.
func (s *session) dial() (*control.Client, error) {
	dir, err := s.dataDir()
	if err != nil {
		return nil, err
	}
	return control.Dial(s.ctx, dir)
}

func (s *session) logger() *slog.Logger {
	level := slog.LevelInfo
	if s.Verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(s.errOut, &slog.HandlerOptions{Level: level}))
}
