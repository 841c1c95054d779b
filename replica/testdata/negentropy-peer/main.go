// Command negentropy-peer is one side of a negentropy conversation, played by an
// implementation that is not this project's. It reads lines from standard input:
//
//	item TIME ID      one item, Unix milliseconds and 64 hexadecimal digits
//	limit BYTES       frame size limit, 0 for none
//	start             it begins: its first message is printed
//	answer            the other side begins
//	MESSAGE           in hexadecimal; its reply is printed
//
// and prints "msg MESSAGE", and where it began and knows all, "have ID" and "need ID" a
// line each and "done". An empty line starts over with no items.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip77/negentropy"
	"github.com/nbd-wtf/go-nostr/nip77/negentropy/storage/vector"
)

// side is one conversation.
type side struct {
	items  *vector.Vector
	limit  int
	talk   *negentropy.Negentropy
	begins bool

	told  sync.WaitGroup
	haves []string
	needs []string
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	out := bufio.NewWriter(os.Stdout)
	s := &side{items: vector.New()}
	for in.Scan() {
		if in.Text() == "" {
			s = &side{items: vector.New()}
			continue
		}
		if err := s.line(in.Text(), out); err != nil {
			fmt.Fprintln(os.Stderr, "negentropy-peer:", err)
			os.Exit(1)
		}
		if err := out.Flush(); err != nil {
			os.Exit(1)
		}
	}
}

func (s *side) line(line string, out *bufio.Writer) error {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "item":
		var when int64
		var id string
		if _, err := fmt.Sscan(rest, &when, &id); err != nil {
			return err
		}
		s.items.Insert(nostr.Timestamp(when), id)
	case "limit":
		_, err := fmt.Sscan(rest, &s.limit)
		return err
	case "start", "answer":
		s.items.Seal()
		s.talk, s.begins = negentropy.New(s.items, s.limit), word == "start"
		s.told.Go(func() { collect(&s.haves, s.talk.Haves) })
		s.told.Go(func() { collect(&s.needs, s.talk.HaveNots) })
		if s.begins {
			fmt.Fprintln(out, "msg", s.talk.Start())
		}
	default:
		return s.reply(word, out)
	}
	return nil
}

func (s *side) reply(msg string, out *bufio.Writer) error {
	reply, err := s.talk.Reconcile(msg)
	if err != nil {
		return err
	}
	if reply != "" {
		fmt.Fprintln(out, "msg", reply)
		return nil
	}
	s.told.Wait()
	for _, id := range s.haves {
		fmt.Fprintln(out, "have", id)
	}
	for _, id := range s.needs {
		fmt.Fprintln(out, "need", id)
	}
	fmt.Fprintln(out, "done")
	return nil
}

func collect(ids *[]string, from <-chan string) {
	for id := range from {
		*ids = append(*ids, id)
	}
}
