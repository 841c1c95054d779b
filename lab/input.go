package lab

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Sizes of the generated input.
const (
	BigSize    = 1 << 30 // bytes of the one big file
	PhotoCount = 1000
	SmallCount = 10_000
)

// Item is one generated file. Its bytes follow from the generator's seed and the
// item's name, so the same seed makes the same folder on every machine.
type Item struct {
	Name string // path with forward slashes
	Size int64  // bytes
	open func() io.Reader
	sum  func() [sha256.Size]byte // of all bytes, taken once
}

func newItem(name string, size int64, open func() io.Reader) Item {
	i := Item{Name: name, Size: size, open: open}
	i.sum = sync.OnceValue(func() [sha256.Size]byte {
		h := sha256.New()
		if _, err := io.Copy(h, i.Open()); err != nil {
			panic(err) // neither a generator nor a hash fails
		}
		return [sha256.Size]byte(h.Sum(nil))
	})
	return i
}

// Open reads the item's bytes from the start.
func (i Item) Open() io.Reader { return io.LimitReader(i.open(), i.Size) }

// Sum is the SHA-256 of the item's bytes.
func (i Item) Sum() [sha256.Size]byte { return i.sum() }

// Write makes the file of the item below dir, with its folders.
func (i Item) Write(dir string) error {
	path := filepath.Join(dir, filepath.FromSlash(i.Name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, i.Open()); err != nil {
		return fmt.Errorf("write %q: %w", i.Name, err)
	}
	return f.Close()
}

// Input makes the items of one seed.
type Input struct{ Seed uint64 }

// Big is one film-sized file.
func (in Input) Big() Item { return in.noise("big/The whole film.mkv", BigSize) }

// Photos are n files of 100 to 300 KiB with the structure of real JPEGs, in
// folders of a hundred.
func (in Input) Photos(n int) []Item {
	originals := in.originals()
	items := make([]Item, n)
	for i := range items {
		name := fmt.Sprintf("photos/%02d/IMG_%04d.jpg", i/100, i)
		original := originals[i%len(originals)]
		items[i] = newItem(name, int64(len(original)), func() io.Reader {
			return bytes.NewReader(retake(original, in.random(name)))
		})
	}
	return items
}

// Small are n notes of up to 4 KiB, in folders of a thousand.
func (in Input) Small(n int) []Item {
	items := make([]Item, n)
	for i := range items {
		name := fmt.Sprintf("notes/%d/note-%05d.txt", i/1000, i)
		items[i] = in.noise(name, 1+in.random(name).Int64N(4096))
	}
	return items
}

// Names are files whose names have made trouble somewhere. All of them can
// stand in one folder of a Linux file system.
func (in Input) Names() []Item {
	names := []string{
		"صورة من الساحة.jpg",     // Arabic, right to left
		"会议记录/第一天.txt",           // Chinese, in a folder of a Chinese name
		"🎉🏴‍☠️.png",              // emoji, one of them joined from three
		"Übergrößenträger.txt",   // Latin with marks
		"e\u0301te\u0301.txt",    // été, decomposed
		"\u00e9t\u00e9.txt",      // été, composed
		"Readme.md", "README.MD", // differ by case only
		"CON", "aux.txt", "com1.log", // names of devices elsewhere
		"a<b>.html", `what?.txt`, `back\slash.txt`, `quote".txt`, "semi;colon&amp.txt",
		"two  spaces.txt", "trailing dot.", "100%.txt", "%2e%2e%2fx.txt", "-rf", "#hash.txt",
		"archive.tar.gz", "no extension", "UPPER.JPG",
		strings.Repeat("n", 251) + ".txt", // 255 bytes, all ASCII
		strings.Repeat("界", 83) + ".txt",  // 253 bytes, three to a character
		strings.Repeat("🦜", 62) + "é.txt", // 254 bytes, four to a character
		strings.Repeat("d", 200) + "/" + strings.Repeat("e", 200) + "/deep.txt",
		"<img src=x onerror=alert(1)>.txt",
	}
	items := make([]Item, len(names))
	for i, name := range names {
		items[i] = in.noise(name, 100+int64(i))
	}
	return append(items, newItem("empty.txt", 0, nothing), newItem("folder/also empty", 0, nothing))
}

func nothing() io.Reader { return bytes.NewReader(nil) }

// noise is an item of random bytes.
func (in Input) noise(name string, size int64) Item {
	return newItem(name, size, func() io.Reader { return in.random(name) })
}

// generator is both halves of a random source: bytes and numbers.
type generator struct {
	*rand.ChaCha8
	*rand.Rand
}

func (g generator) Uint64() uint64 { return g.Rand.Uint64() }

// random starts the sequence that belongs to a name.
func (in Input) random(name string) generator {
	c := rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%d\x00%s", in.Seed, name)))
	return generator{c, rand.New(c)}
}

// originals are a few pictures of noise, which compresses badly, as photos do.
func (in Input) originals() [][]byte {
	sides := []int{350, 400, 450, 500, 550}
	all := make([][]byte, len(sides))
	for i, side := range sides {
		r := in.random(fmt.Sprint("picture ", side))
		picture := image.NewRGBA(image.Rect(0, 0, side, side))
		for y := range side {
			for x := range side {
				n := r.Uint64()
				picture.SetRGBA(x, y, color.RGBA{uint8(n), uint8(n >> 8), uint8(n >> 16), 255})
			}
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, picture, &jpeg.Options{Quality: 90}); err != nil {
			panic(err) // encoding into memory does not fail
		}
		all[i] = b.Bytes()
	}
	return all
}

// retake is another picture with the segments of the original: it changes
// bytes of the compressed scan only, and never one beside a marker (ITU-T T.81,
// B.1.1.2).
func retake(original []byte, r generator) []byte {
	b := bytes.Clone(original)
	scan := bytes.Index(b, []byte{0xff, 0xda})
	const markers, tries = 16, 64 // the scan's own header, then how many bytes to change
	for range tries {
		i := scan + markers + r.IntN(len(b)-scan-2*markers)
		if b[i-1] != 0xff && b[i] != 0xff && b[i+1] != 0xff {
			b[i] = byte(r.IntN(0xff))
		}
	}
	return b
}
