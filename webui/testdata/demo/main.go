// Command demo serves the pages of a box that exists in memory only, with some
// files and talk in it, to look at them and to run the browser test:
//
//	go run ./webui/testdata/demo -http 127.0.0.1:8099
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"time"

	"boucan/webui"
	"boucan/webui/testdata/membox"
)

func main() {
	addr := flag.String("http", "127.0.0.1:8099", "address to serve at")
	empty := flag.Bool("empty", false, "begin with nothing in the box")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := serve(ctx, *addr, *empty); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context, addr string, empty bool) error {
	dir, err := os.MkdirTemp("", "boucan-demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	box := membox.New(dir)
	if !empty {
		if err := fill(box); err != nil {
			return err
		}
	}
	ui, err := webui.New(box, box, box, webui.Options{About: about, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	box.Changed = ui.Changed
	done := make(chan error, 1)
	go func() { done <- ui.Run(ctx) }()
	server := &http.Server{
		Addr: addr, Handler: ui, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 32 << 10, ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	fmt.Println("http://" + addr + "/")
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return <-done
}

var about = webui.About{
	Keeper: "The neighbours of Quai 12. Come by on Tuesdays.", WiFi: "Le Radeau; free",
	Rules: "Be kind.\nNothing that hurts somebody else.\nMusic and maps are welcome.",
}

func fill(box *membox.Box) error {
	phare, peniche := membox.Key(2), membox.Key(3)
	box.SetPeers(
		webui.Peer{ID: phare, Name: "Le Phare", Connected: true, LastSeen: time.Now(), Files: 212, Bytes: 41e9, Hops: 1},
		webui.Peer{ID: peniche, Name: "La Péniche", Connected: true, LastSeen: time.Now(), Files: 31, Bytes: 3e9, Hops: 1},
		webui.Peer{ID: membox.Key(4), Name: "مكتبة الحي", LastSeen: time.Now().Add(-3 * time.Hour), Files: 7},
	)
	box.SetBeyond(
		webui.Peer{ID: membox.Key(5), Name: "Bibliothèque du canal", Hops: 2, LastSeen: time.Now().Add(-26 * time.Hour), Files: 4021, Bytes: 380e9},
		webui.Peer{ID: membox.Key(6), Name: "North gate", Hops: 2, LastSeen: time.Now().Add(-2 * time.Hour), Files: 3},
	)
	now := time.Now()
	for i, name := range []string{
		"Repair café/How to fix a bicycle chain.pdf", "concert-in-the-park.flac", "بيان الحي.txt", "map-of-the-valley-2026.zip",
		"water-points.csv", "IMG_20260714_183211.jpg", "IMG_20260714_183211.jpg", "Grandmother’s stories, chapter 3.m4b", "keyboard-layout.apk",
		"日本語の本.epub", "A film with a name that is so long that it has to wrap onto a second line on every phone we know.mp4",
		"notes.md", "poster.png", "thing",
	} {
		data := []byte(name + fmt.Sprint(i))
		if name == "poster.png" || i == 5 || i == 6 {
			data = picture(uint8(i))
		}
		f, err := box.Put(name, "", data)
		if err != nil {
			return err
		}
		box.Update(f.ID, func(f *webui.File) {
			f.Added = now.Add(-time.Duration(14-i) * 97 * time.Minute)
			f.Size = int64(1) << (10 + (i*7)%20) * 3 / 2
			if len(data) > 200 {
				f.Size = int64(len(data))
			}
			if i%3 == 1 {
				f.From = webui.BoxRef{ID: phare, Name: "Le Phare"}
			}
		})
	}
	box.Add(webui.File{
		ID: membox.ID(), CID: membox.CID(1), Name: "Field recordings/dawn chorus.wav", Size: 410 << 20, Added: now.Add(-4 * time.Minute),
		From: webui.BoxRef{ID: phare, Name: "Le Phare"}, Landed: 141 << 20,
	})
	box.Add(webui.File{
		ID: membox.ID(), CID: membox.CID(2), Name: "community-radio-2026-07.mp3", Size: 88 << 20, Added: now.Add(-50 * time.Second),
		From: webui.BoxRef{ID: peniche, Name: "La Péniche", Near: true, Seen: now},
	})
	box.Add(webui.File{
		ID: membox.ID(), CID: membox.CID(3), Name: "خريطة الحي.pdf", Size: 3 << 20, Added: now.Add(-3 * time.Hour),
		From: webui.BoxRef{ID: membox.Key(4), Name: "مكتبة الحي", Seen: now.Add(-3 * time.Hour)},
	})
	talk := []struct {
		nick, text string
		from       byte
	}{
		{"Zoé", "Hello everyone! Who put up the concert?", 1},
		{"Malik", "Me. Recorded last night on the quay, so the boats are in it too.", 1},
		{"", "is there water at the north gate?", 1},
		{"ليلى", "نعم، بجانب الخيمة الزرقاء. البوابة مفتوحة حتى العاشرة.", 2},
		{"Tomás", "Yes, next to the blue tent. Open until ten.\nBring your own bottle.", 2},
		{"Zoé", "thank you 💛", 1},
	}
	for i, m := range talk {
		box.Hear(webui.Message{
			ID: membox.ID(), Room: "lobby", Nick: m.nick, Text: m.text, From: membox.Key(m.from), At: now.Add(-time.Duration(len(talk)-i) * 7 * time.Minute),
			Box: map[byte]string{1: "Le Radeau", 2: "Le Phare"}[m.from],
		})
	}
	return nil
}

func picture(seed uint8) []byte {
	img := image.NewRGBA(image.Rect(0, 0, 320, 200))
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	for y := range 200 {
		for x := range 320 {
			img.Set(x, y, color.RGBA{uint8(x), uint8(y), seed*16 + uint8(r.IntN(8)), 255})
		}
	}
	var b bytes.Buffer
	png.Encode(&b, img) // a buffer never fails
	return b.Bytes()
}
