//go:build lab

package lab

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"testing"
	"time"
)

// TestStreamingInABrowser: a song that lies on another box, over a link that takes
// more than a minute for it, plays at once and from any place; then that box goes in
// the middle of another file.
func TestStreamingInABrowser(t *testing.T) {
	l := NewLan(t, "streaming", 3, V4Only)
	const slow = "16mbit"
	l.Slow(slow)
	far, near := StartBox(t, l.Hosts[0], "Le Phare"), StartBox(t, l.Hosts[1], "quai")
	laptop := l.Hosts[2]
	eventually(t, 10*time.Second, "the boxes meet", func() error { return near.ReachesAll(far) })

	song := sound(160 << 20)
	if _, err := far.Self().Drop("La mer.wav", song()); err != nil {
		t.Fatal(err)
	}
	link := func(name string) (link string) {
		eventually(t, 15*time.Second, name+" is listed", func() (err error) {
			link, err = near.Self().Link(name)
			return err
		})
		return link
	}
	browse(t, laptop, "lab/streaming.mjs", near, far, "play", link("La mer.wav"))
	l.Fast()
	eventually(t, 2*time.Minute, "the song is here", func() error { return near.Has("La mer.wav") })
	sum, err := near.Self().FetchNamed("La mer.wav")
	if want := newItem("", song().Size(), func() io.Reader { return song() }).Sum(); err != nil || sum != want {
		t.Errorf("what was played and kept differs: %v", err)
	}

	l.Slow(slow)
	lost := Input{Seed: 12}.noise("Carte du port.png", 60<<20)
	if _, err := far.Self().Drop(lost.Name, lost.Open()); err != nil {
		t.Fatal(err)
	}
	at := link(lost.Name)
	far.Kill()
	eventually(t, 30*time.Second, "the near box notices", func() error {
		if reached, err := near.Reaches(); err != nil || len(reached) > 0 {
			return fmt.Errorf("it reaches %d boxes, %v", len(reached), err)
		}
		return nil
	})
	if err := near.Has(lost.Name); err == nil {
		t.Fatal("the file was here before its box went: this shows nothing")
	}
	browse(t, laptop, "lab/streaming.mjs", near, far, "gone", at, lost.Name, "Le Phare")
	near.Stop()
	noTraceOf(t, near, laptop)
}

// sound is a WAV file of about size bytes: 16 bits, stereo, 44.1 kHz, noise.
func sound(size int) func() *bytes.Reader {
	const rate, channels, width = 44100, 2, 2
	size -= size % (channels * width)
	head := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, uint32(36+size))...)
	head = append(head, "WAVEfmt "...)
	for _, field := range []any{uint32(16), uint16(1), uint16(channels), uint32(rate), uint32(rate * channels * width), uint16(channels * width), uint16(8 * width)} {
		head, _ = binary.Append(head, binary.LittleEndian, field) // of fixed sizes: never fails
	}
	head = binary.LittleEndian.AppendUint32(append(head, "data"...), uint32(size))
	noise, _ := io.ReadAll(Input{Seed: 13}.noise("sound", int64(size)).Open()) // never fails
	data := append(head, noise...)
	return func() *bytes.Reader { return bytes.NewReader(data) }
}
