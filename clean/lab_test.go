//go:build lab

package clean_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"boucan/clean"
)

// What is written into the files, and must not be found in them afterwards.
var secrets = []string{"Ada Lovelace", "SN-4711-0815", "at my house", "Secretcam", "2019:03:04", "2019-03-04"}

// tell is what exiftool writes into pictures and films.
var tell = []string{
	"-overwrite_original", "-q", "-m",
	"-GPSLatitude=48.8584", "-GPSLatitudeRef=N", "-GPSLongitude=2.2945", "-GPSLongitudeRef=E",
	"-Artist=Ada Lovelace", "-Copyright=Ada Lovelace", "-Make=Secretcam", "-Model=Secretcam 3", "-SerialNumber=SN-4711-0815",
	"-DateTimeOriginal=2019:03:04 05:06:07", "-UserComment=at my house", "-Comment=at my house", "-XMP-dc:Creator=Ada Lovelace",
	"-XMP-exif:GPSLatitude=48.8584", "-IPTC:By-line=Ada Lovelace", "-Orientation#=6",
}

// material is one real file: how it is made, from out.png or out.wav, and what is
// added.
type material struct {
	name string
	make []string
	tell []string
	// frames are arguments of ffmpeg's framemd5; nil has ImageMagick compare.
	frames []string
	stays  []string // what exiftool still has to say of it
}

const picture = "testsrc2=size=160x120:rate=10:duration=1"

func materials() []material {
	sound := []string{"-map", "0:a"}
	film := []string{"-map", "0:v", "-map", "0:a?"}
	tagged := []string{
		"-metadata", "title=Bridge", "-metadata", "artist=The Band", "-metadata", "album=Rivers", "-metadata", "track=3",
		"-metadata", "comment=at my house", "-metadata", "encoded_by=Ada Lovelace", "-metadata", "date=2019-03-04",
		"-metadata", "copyright=Ada Lovelace", "-metadata", "location=+48.8584+002.2945/",
	}
	ff := func(input string, more ...string) []string {
		return append([]string{"ffmpeg", "-v", "error", "-y", "-i", input}, more...)
	}
	tags := func(name string, codec ...string) material {
		return material{name: name, make: append(append(ff("in.wav", codec...), tagged...), name), frames: sound, stays: []string{"Bridge", "The Band", "Rivers"}}
	}
	named := []string{"-metadata", "title=at my house", "-metadata", "artist=Ada Lovelace", "-metadata", "comment=at my house", "-metadata",
		"location=+48.8584+002.2945/", "-metadata", "creation_time=2019-03-04T05:06:07Z", "-metadata:s:v", "handler_name=Secretcam"}
	film1 := func(name string, codec ...string) material {
		return material{name: name, make: append(append(ff("in.mkv", codec...), named...), name), tell: []string{
			"-overwrite_original", "-q", "-m", "-Keys:GPSCoordinates=48.8584, 2.2945, 10", "-UserData:GPSCoordinates=48.8584, 2.2945, 10",
			"-Keys:Make=Secretcam", "-XMP-dc:Creator=Ada Lovelace", "-ItemList:Author=Ada Lovelace", "-UserData:SerialNumber=SN-4711-0815",
			"-QuickTime:CreateDate=2019:03:04 05:06:07", "-QuickTime:MediaCreateDate=2019:03:04 05:06:07",
		}, frames: film}
	}
	return []material{
		{name: "plain.jpg", make: []string{"convert", "in.png", "plain.jpg"}, tell: append(tell, "-ThumbnailImage<=small.jpg"), stays: []string{"Rotate 90"}},
		{name: "progressive.jpg", make: []string{"convert", "in.png", "-profile", "srgb.icc", "-interlace", "plane", "progressive.jpg"}, tell: tell, stays: []string{"Rotate 90", "ICC"}},
		{name: "cmyk.jpg", make: []string{"convert", "in.png", "-colorspace", "CMYK", "cmyk.jpg"}, tell: tell},
		{name: "ffmpeg.jpg", make: ff("in.png", "ffmpeg.jpg"), tell: tell},
		{name: "plain.png", make: []string{"convert", "in.png", "-profile", "srgb.icc", "-set", "comment", "at my house", "plain.png"}, tell: tell, stays: []string{"Rotate 90", "ICC"}},
		{name: "moving.png", make: ff("in.mkv", "-f", "apng", "-plays", "0", "moving.png"), tell: tell[:len(tell)-1], frames: []string{"-map", "0:v"}},
		{name: "moving.gif", make: ff("in.mkv", "moving.gif"), tell: []string{"-overwrite_original", "-q", "-m", "-Comment=at my house", "-XMP-dc:Creator=Ada Lovelace"}, frames: []string{"-map", "0:v"}},
		{name: "plain.webp", make: []string{"convert", "in.png", "-profile", "srgb.icc", "plain.webp"}, tell: tell, stays: []string{"Rotate 90", "ICC"}},
		{name: "lossless.webp", make: []string{"convert", "in.png", "-define", "webp:lossless=true", "lossless.webp"}, tell: tell},
		{name: "moving.webp", make: []string{"convert", "small.png", "in.png", "-resize", "80x60!", "moving.webp"}, tell: tell},
		{name: "plain.heic", make: []string{"heif-enc", "-t", "64", "told.jpg", "-o", "plain.heic"}, tell: tell},
		{name: "plain.avif", make: []string{"heif-enc", "-A", "told.jpg", "-o", "plain.avif"}, tell: tell},
		film1("film.mp4", "-c:v", "libx264", "-c:a", "aac"),
		film1("fast.mp4", "-c:v", "libx264", "-c:a", "aac", "-movflags", "+faststart"),
		film1("film.mov", "-c:v", "libx264", "-c:a", "pcm_s16le", "-timecode", "01:02:03:04"),
		film1("photo.mov", "-c:v", "mjpeg", "-c:a", "pcm_s24be"),
		{name: "parts.mp4", make: append(append(ff("in.mkv", "-c:v", "libx264", "-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"), named...), "parts.mp4"), frames: film},
		tags("song.m4a", "-c:a", "aac"),
		tags("song.mp3", "-c:a", "libmp3lame"),
		tags("old.mp3", "-c:a", "libmp3lame", "-id3v2_version", "3", "-write_id3v1", "1"),
		tags("song.flac", "-c:a", "flac"),
		tags("song.ogg", "-c:a", "libvorbis"),
		tags("song.opus", "-c:a", "libopus"),
		tags("flac.ogg", "-c:a", "flac", "-f", "ogg"),
		{name: "cover.mp3", make: append(append(ff("in.wav", "-i", "small.jpg", "-map", "0:a", "-map", "1:v", "-c:v", "copy", "-c:a", "libmp3lame"), tagged...), "cover.mp3"), frames: sound, stays: []string{"Bridge"}},
		{name: "cover.flac", make: append(append(ff("in.wav", "-i", "small.jpg", "-map", "0:a", "-map", "1:v", "-c:v", "copy", "-disposition:v", "attached_pic"), tagged...), "cover.flac"), frames: sound, stays: []string{"Bridge"}},
		{name: "cover.m4a", make: append(append(ff("in.wav", "-i", "small.jpg", "-map", "0:a", "-map", "1:v", "-c:v", "copy", "-disposition:v", "attached_pic"), tagged...), "cover.m4a"), frames: sound, stays: []string{"Bridge"}},
	}
}

// TestRealFiles makes files with real encoders, has exiftool write into them what
// identifies, cleans them, and asks exiftool, ffmpeg and ImageMagick.
func TestRealFiles(t *testing.T) {
	dir := t.TempDir()
	run(t, dir, "ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=frequency=440:duration=1", "-c:v", "ffv1", "-c:a", "pcm_s16le", "in.mkv")
	run(t, dir, "ffmpeg", "-v", "error", "-y", "-i", "in.mkv", "-vn", "in.wav")
	run(t, dir, "ffmpeg", "-v", "error", "-y", "-i", "in.mkv", "-frames:v", "1", "in.png")
	run(t, dir, "convert", "in.png", "-resize", "80x60", "small.png")
	run(t, dir, "convert", "small.png", "small.jpg")
	run(t, dir, "convert", "in.png", "told.jpg")
	run(t, dir, "exiftool", append(tell, "told.jpg")...)
	profile := "/usr/share/color/icc/ghostscript/srgb.icc"
	b, err := os.ReadFile(profile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "srgb.icc"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, m := range materials() {
		t.Run(m.name, func(t *testing.T) { m.check(t, dir) })
	}
}

func (m material) check(t *testing.T, dir string) {
	run(t, dir, m.make[0], m.make[1:]...)
	was := m.content(t, dir, m.name) // not all that exiftool writes can ffmpeg read
	if m.tell != nil {
		run(t, dir, "exiftool", append(m.tell, m.name)...)
	}
	before, err := os.ReadFile(filepath.Join(dir, m.name))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := clean.Look(bytes.NewReader(before), int64(len(before)))
	if err != nil {
		t.Fatal(err)
	}
	after := applied(t, plan, before)
	name := "clean-" + m.name
	if err := os.WriteFile(filepath.Join(dir, name), after, 0o600); err != nil {
		t.Fatal(err)
	}
	said := read(t, dir, m.name, name)
	if told(m.name, said[0]) == "" {
		t.Error("nothing was written into the file: this test tells nothing")
	}
	if left := told(name, said[1]); left != "" {
		t.Errorf("left: %s", left)
	}
	for _, s := range secrets {
		for _, form := range []string{s, wide(s)} {
			if bytes.Contains(after, []byte(form)) {
				t.Errorf("%q is still in its bytes", s)
			}
		}
	}
	all := fmt.Sprint(said[1])
	for _, s := range m.stays {
		switch was := strings.Contains(fmt.Sprint(said[0]), s); {
		case !was: // encoders differ in what they let exiftool write
			t.Logf("%q was not there before", s)
		case !strings.Contains(all, s):
			t.Errorf("%q is gone: %s", s, all)
		}
	}
	if strings.Contains(all, "ExifTool:Error") || strings.Contains(all, "ExifTool:Warning") {
		t.Errorf("exiftool finds a fault: %s", all)
	}
	if is := m.content(t, dir, name); was != is || was == "" {
		t.Errorf("content differs:\n%.2000s\n%.2000s", was, is)
	}
	again, err := clean.Look(bytes.NewReader(after), int64(len(after)))
	if err != nil || again.Dirty() {
		t.Errorf("cleaned once more: %v", err)
	}
	t.Logf("%d bytes, %d after; position found: %v", len(before), len(after), plan.Location)
}

// content is what the pixels and samples are, as other programs decode them.
func (m material) content(t *testing.T, dir, name string) string {
	if m.frames != nil {
		args := append([]string{"-v", "error", "-i", name}, m.frames...)
		if strings.HasSuffix(name, ".png") {
			args = append([]string{"-f", "apng"}, args...)
		}
		return output(t, dir, "ffmpeg", append(args, "-fflags", "+bitexact", "-f", "framemd5", "-")...)
	}
	if strings.HasSuffix(name, ".heic") || strings.HasSuffix(name, ".avif") {
		run(t, dir, "heif-convert", name, name+".png")
		name += ".png"
	}
	return output(t, dir, "identify", "-format", "%# %w %h\n", name)
}

// identifying are the names of what must not be left, as exiftool calls it.
var identifying = regexp.MustCompile(`(?i)gps|serial|artist|author|creator$|by-?line|copyright|thumbnail|preview|comment|make$|model$|software|datetime|createdate|modifydate|encod(er|edby)|vendorid|handlerdescription|xmp|iptc|photoshop|picture$|coverart|location`)

// harmless are values that say nothing.
var harmless = regexp.MustCompile(`^(|0|false|0 s|0000:00:00 00:00:00|0000:00:00|\(none\)|none)$`)

// musical are the tags of music, which stay.
var musical = regexp.MustCompile(`\.(mp3|m4a|flac|ogg|opus)$`)

// read is what exiftool says of files.
func read(t *testing.T, dir string, names ...string) []map[string]any {
	t.Helper()
	var all []map[string]any
	args := append([]string{"-j", "-a", "-u", "-ee", "-G1", "-s"}, names...)
	if err := json.Unmarshal([]byte(output(t, dir, "exiftool", args...)), &all); err != nil || len(all) != len(names) {
		t.Fatal(err)
	}
	return all
}

// told is what of it identifies.
func told(name string, said map[string]any) string {
	var left []string
	for key, value := range said {
		group, tag, _ := strings.Cut(key, ":")
		switch {
		case group == "System" || group == "ExifTool" || group == "ICC-header" || strings.HasPrefix(group, "ICC"):
			continue
		case group == "LAME" || tag == "Encoder" && group == "MPEG":
			continue // the first frame names the program, not a person
		case musical.MatchString(name) && (tag == "Artist" || tag == "HandlerVendorID"):
			continue
		}
		text := strings.TrimSpace(strings.Trim(string(must(json.Marshal(value))), `"`))
		if identifying.MatchString(tag) && !harmless.MatchString(text) {
			left = append(left, key+"="+text)
		}
	}
	return strings.Join(left, "\n")
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// wide is text in two bytes a letter.
func wide(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

func run(t *testing.T, dir, name string, args ...string) { output(t, dir, name, args...) }

func output(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		// exiftool warns of what it cannot write into a format, and goes on.
		if name == "exiftool" && len(out) == 0 && !bytes.Contains(failed.Stderr, []byte("Error")) {
			return ""
		}
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, failed.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
