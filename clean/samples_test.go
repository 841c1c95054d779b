package clean_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"strings"
)

// secret stands wherever something identifies; kept where something has to stay.
const (
	secret = "SECRET of Ada"
	kept   = "KEPT of all"
)

// sample is a small file made by hand, of which secret has to go.
type sample struct {
	name string
	file []byte
	kept int // how often kept has to be in it afterwards
}

func samples() []sample {
	return []sample{
		{"jpeg", jpegSample(), 1},
		{"png", pngSample(), 1},
		{"gif", gifSample(), 1},
		{"webp", webpSample(), 2},
		{"mp3", mp3Sample(), 3},
		{"old mp3", oldMP3Sample(), 3},
		{"flac", flacSample(), 3},
		{"vorbis", vorbisSample(false), 3},
		{"vorbis over pages", vorbisSample(true), 3},
		{"ogg flac", oggFLACSample(), 3},
		{"mp4", mp4Sample("vide"), 2},
		{"m4a", mp4Sample("soun"), 5},
		{"heic", heicSample(), 2},
	}
}

func picture8() *image.Paletted {
	m := image.NewPaletted(image.Rect(0, 0, 16, 16), color.Palette{color.Black, color.White})
	for i := range 64 {
		m.SetColorIndex(i%16, i/5, 1)
	}
	return m
}

// tiff is Exif with an orientation, a text and a position.
func tiff(order binary.AppendByteOrder) []byte {
	b := []byte("II*\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		b = []byte("MM\x00*")
	}
	u16 := func(v ...uint16) {
		for _, v := range v {
			b = order.AppendUint16(b, v)
		}
	}
	u32 := func(v ...uint32) {
		for _, v := range v {
			b = order.AppendUint32(b, v)
		}
	}
	u32(8)
	u16(3)
	u16(0x0112, 3)
	u32(1)
	u16(6, 0)
	u16(0x013b, 2)
	u32(uint32(len(secret)), 50)
	u16(0x8825, 4)
	u32(1, 50)
	u32(0)
	return append(b, secret...)
}

func segment(marker byte, content string) []byte {
	b := []byte{0xff, marker, byte((len(content) + 2) >> 8), byte(len(content) + 2)}
	return append(b, content...)
}

func jpegSample() []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, picture8(), nil); err != nil {
		panic(err)
	}
	plain := b.Bytes()
	out := append([]byte{0xff, 0xd8}, segment(0xe0, "JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x02\x03"+secret)...)
	out = append(out, segment(0xe1, "Exif\x00\x00"+string(tiff(binary.LittleEndian)))...)
	out = append(out, segment(0xe1, "http://ns.adobe.com/xap/1.0/\x00"+secret)...)
	out = append(out, 0xff, 0xff)
	out = append(out, segment(0xe2, "ICC_PROFILE\x00\x01\x01"+kept)...)
	out = append(out, segment(0xe2, "MPF\x00"+secret)...)
	out = append(out, segment(0xed, "Photoshop 3.0\x00"+secret)...)
	out = append(out, segment(0xfe, secret)...)
	out = append(out, plain[2:]...)
	return append(append(append(out, plain...), secret...), plain...)
}

func pngChunk(kind, content string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	b = append(append(b, kind...), content...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

func pngSample() []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, picture8()); err != nil {
		panic(err)
	}
	plain := b.Bytes()
	const head = 8 + 25
	out := bytes.Clone(plain[:head])
	out = append(out, pngChunk("iCCP", "x\x00\x00"+kept)...)
	out = append(out, pngChunk("tEXt", "Author\x00"+secret)...)
	out = append(out, pngChunk("eXIf", string(tiff(binary.BigEndian)))...)
	out = append(out, pngChunk("tIME", "\x07\xd0\x01\x01\x01\x01\x01")...)
	out = append(out, pngChunk("prIv", secret)...)
	return append(append(out, plain[head:]...), secret...)
}

func gifSample() []byte {
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &gif.GIF{Image: []*image.Paletted{picture8(), picture8()}, Delay: []int{3, 4}}); err != nil {
		panic(err)
	}
	plain := b.Bytes()
	block := func(s string) string { return string([]byte{byte(len(s))}) + s }
	const head = 13 + 6
	out := bytes.Clone(plain[:13])
	if plain[10]&0x80 != 0 {
		out = bytes.Clone(plain[:head])
	}
	rest := plain[len(out):]
	out = append(out, "\x21\xfe"+block(secret)+"\x00"...)
	out = append(out, "\x21\xff"+block("XMP DataXMP")+block(secret)+"\x00"...)
	out = append(out, "\x21\xff"+block("ICCRGBG1012")+block(kept)+"\x00"...)
	out = append(out, "\x21\xff"+block("NETSCAPE2.0")+block(secret)+"\x00"...)
	return append(append(out, rest...), secret...)
}

func riff(kind, content string) string {
	b := binary.LittleEndian.AppendUint32([]byte(kind), uint32(len(content)))
	return string(b) + content + strings.Repeat("\x00", len(content)%2)
}

func webpSample() []byte {
	frame := strings.Repeat("\x00", 16) + riff("XXXX", secret) + riff("VP8L", kept) + riff("YYYY", secret)
	return []byte(riff("RIFF", "WEBP"+riff("VP8X", "\x2e\x00\x00\x00\x00\x00\x00\x00\x00\x00")+riff("ICCP", kept)+riff("ANIM", "\x00\x00\x00\x00\x00\x00")+
		riff("ANMF", frame)+riff("EXIF", string(tiff(binary.LittleEndian)))+riff("XMP ", secret)) + secret)
}

// mpeg is sound: frames of 128 kbit/s at 44.1 kHz that hold nothing.
func mpeg(n int) string {
	return strings.Repeat("\xff\xfb\x90\x00"+strings.Repeat("\x00", 413), n)
}

func id3Frame(name, text string) string {
	text = "\x03" + text
	return name + string([]byte{0, 0, 0, byte(len(text))}) + "\x00\x00" + text
}

func id3(frames string) string {
	n := len(frames)
	return "ID3\x04\x00\x00" + string([]byte{0, 0, byte(n >> 7), byte(n & 0x7f)}) + frames
}

func mp3Sample() []byte {
	return []byte(id3(id3Frame("TIT2", kept)+id3Frame("TPE1", kept)+id3Frame("TALB", kept)+id3Frame("COMM", "eng\x00"+secret)+
		id3Frame("PRIV", secret)+id3Frame("TENC", secret)+strings.Repeat("\x00", 64)) +
		id3(id3Frame("TIT2", secret)+id3Frame("TPE1", secret)) + mpeg(3) + secret + mpeg(3) + id3(id3Frame("TXXX", secret)) + mpeg(2) +
		apeTag(secret) + "LYRICSBEGIN" + secret + "000024LYRICS200" + "TAG" + pad(secret, 30) + pad(secret, 30) + strings.Repeat("\x00", 65))
}

func oldMP3Sample() []byte {
	return []byte(mpeg(4) + apeTag(secret) + "TAG" + pad(kept, 30) + pad(kept, 30) + pad(kept, 30) + "1815" + pad(secret, 28) + "\x00\x07\x11")
}

func pad(s string, n int) string { return s + strings.Repeat("\x00", n-len(s)) }

func apeTag(text string) string {
	item := string(binary.LittleEndian.AppendUint32(nil, uint32(len(text)))) + "\x00\x00\x00\x00Comment\x00" + text
	half := func(flags uint32) string {
		b := binary.LittleEndian.AppendUint32([]byte("APETAGEX"), 2000)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(item)+32))
		b = binary.LittleEndian.AppendUint32(b, 1)
		return string(binary.LittleEndian.AppendUint32(b, flags)) + "\x00\x00\x00\x00\x00\x00\x00\x00"
	}
	return half(0xa0000000) + item + half(0x80000000)
}

func comments(lines ...string) string {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(secret)))
	b = append(b, secret...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(lines)))
	for _, l := range lines {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(l))), l...)
	}
	return string(b)
}

func musicComments(more ...string) string {
	return comments(append([]string{"TITLE=" + kept, "Artist=" + kept, "ALBUM=" + kept, "COMMENT=" + secret, "LOCATION=" + secret}, more...)...)
}

func flacBlock(kind byte, content string) string {
	return string([]byte{kind, byte(len(content) >> 16), byte(len(content) >> 8), byte(len(content))}) + content
}

func flacSample() []byte {
	return []byte(id3(id3Frame("TIT2", secret)) + "fLaC" + flacBlock(0, strings.Repeat("\x01", 34)) + flacBlock(2, "test"+secret) + flacBlock(4, musicComments()) +
		flacBlock(0x86, secret) + "\xff\xf8sound" + "TAG" + pad(secret, 125))
}

// oggPages puts packets on pages that hold most of one, or several.
func oggPages(serial uint32, most int, packets ...string) string {
	var out []byte
	var lacing []byte
	var body []byte
	seq, flags := uint32(0), byte(2)
	flush := func(next byte) {
		page := append([]byte("OggS\x00"), flags)
		page = append(page, make([]byte, 8)...)
		page = binary.LittleEndian.AppendUint32(page, serial)
		page = binary.LittleEndian.AppendUint32(page, seq)
		page = append(page, 0, 0, 0, 0, byte(len(lacing)))
		page = append(append(page, lacing...), body...)
		binary.LittleEndian.PutUint32(page[22:], oggSum(page))
		out = append(out, page...)
		lacing, body, flags, seq = nil, nil, next, seq+1
	}
	for i, p := range packets {
		for {
			if len(lacing) == most {
				flush(1)
			}
			n := min(len(p), 255)
			lacing, body = append(lacing, byte(n)), append(body, p[:n]...)
			p = p[n:]
			if n < 255 {
				break
			}
		}
		if i == 0 {
			flush(0)
		}
	}
	flush(0)
	return string(out)
}

// oggSum is the checksum of RFC 3533, bit by bit.
func oggSum(page []byte) uint32 {
	var sum uint32
	for _, b := range page {
		sum ^= uint32(b) << 24
		for range 8 {
			if sum&0x80000000 != 0 {
				sum = sum<<1 ^ 0x04c11db7
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}

func vorbisSample(long bool) []byte {
	most, more := 250, ""
	if long {
		most, more = 3, strings.Repeat(secret, 500)
	}
	return []byte(oggPages(7, most, "\x01vorbis"+pad("", 23), "\x03vorbis"+musicComments("METADATA_BLOCK_PICTURE="+more)+"\x01", "\x05vorbis setup", "sound") +
		"TAG" + pad(secret, 125))
}

func oggFLACSample() []byte {
	return []byte(oggPages(9, 250, "\x7fFLAC\x01\x00\x00\x02fLaC"+flacBlock(0, strings.Repeat("\x01", 34)), flacBlock(4, musicComments()), flacBlock(0x86, secret), "\xff\xf8sound"))
}

func boxOf(kind string, content ...string) string {
	c := strings.Join(content, "")
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(c)+8))) + kind + c
}

func full(kind string, content ...string) string {
	return boxOf(kind, append([]string{"\x00\x00\x00\x00"}, content...)...)
}

func u32s(v ...int) string {
	var b []byte
	for _, v := range v {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return string(b)
}

// mp4Track is a track with two chunks of two samples each.
func mp4Track(handler string, first, second, size int) string {
	entry := boxOf("avc1", pad("", 12), "VEND", pad("", 26), pad(secret, 32), pad("", 4))
	if handler == "soun" {
		entry = boxOf("mp4a", pad("", 12), "VEND", pad("", 12))
	}
	return boxOf("trak",
		full("tkhd", u32s(3000000000, 3000000000), pad("", 72)),
		boxOf("udta", boxOf("name", secret)),
		boxOf("tref", boxOf("tmcd", u32s(2)), boxOf("cdsc", u32s(1))),
		boxOf("mdia",
			full("mdhd", u32s(3000000000, 3000000000, 1000, 4), pad("", 4)),
			full("hdlr", u32s(0), handler, "appl", u32s(0, 0), secret, "\x00"),
			boxOf("minf", full("vmhd", pad("", 8)), boxOf("dinf", full("dref", u32s(1), boxOf("url ", "\x00\x00\x00\x01", secret))),
				boxOf("stbl",
					full("stsd", u32s(1), entry),
					full("stts", u32s(1, 4, 1)),
					full("stsc", u32s(1, 1, 2, 1)),
					full("stsz", u32s(0, 4, size, size, size, size)),
					full("stco", u32s(2, first, second)),
					boxOf("priv", secret)))))
}

// mp4Sample is a film or a song with a track of positions beside it.
func mp4Sample(handler string) []byte {
	head := boxOf("ftyp", "isom", u32s(0), "isom")
	free := boxOf("free", secret)
	chunk := func(s string) string { return pad(s, 2*16) }
	first := len(head) + len(free) + 8
	// Chunks of the film, of the positions, something of nobody's, and so again.
	mdat := boxOf("mdat", chunk(kept), chunk(secret), secret, chunk(kept), chunk(secret), secret)
	second := first + 2*32 + len(secret)
	tag := func(kind, text string) string { return boxOf(kind, boxOf("data", u32s(1, 0), text)) }
	moov := boxOf("moov",
		full("mvhd", u32s(3000000000, 3000000000, 1000, 4), pad("", 80)),
		mp4Track(handler, first, second, 16), mp4Track("meta", first+32, second+32, 16),
		boxOf("udta", boxOf("\xa9xyz", secret), full("meta", full("hdlr", u32s(0), "mdir", "appl", u32s(0, 0), "\x00"),
			boxOf("ilst", tag("\xa9nam", kept), tag("\xa9ART", kept), tag("\xa9alb", kept), tag("\xa9cmt", secret), tag("covr", secret)))),
		boxOf("uuid", secret))
	return []byte(head + free + mdat + moov + boxOf("mdat", secret) + boxOf("uuid", secret) + "SEFT" + secret)
}

// heicSample has a picture, a thumbnail, Exif, and a picture in idat.
func heicSample() []byte {
	head := boxOf("ftyp", "heic", u32s(0), "mif1heic")
	infe := func(id int, kind string) string {
		return boxOf("infe", "\x02\x00\x00\x00", string([]byte{0, byte(id), 0, 0}), kind, secret, "\x00")
	}
	build := func(data int) string {
		place := func(id, method, at, n int) string {
			return string([]byte{0, byte(id), 0, byte(method), 0, 0, 0, 1}) + u32s(at, n)
		}
		return full("meta",
			full("hdlr", u32s(0), "pict", u32s(0, 0, 0), secret, "\x00"),
			full("pitm", "\x00\x01"),
			full("iinf", "\x00\x04", infe(1, "hvc1"), infe(2, "hvc1"), infe(3, "Exif"), infe(4, "grid")),
			full("iref", boxOf("thmb", "\x00\x02\x00\x01\x00\x01"), boxOf("cdsc", "\x00\x03\x00\x01\x00\x01")),
			boxOf("iprp", boxOf("ipco", boxOf("udes", secret)), full("ipma", u32s(0))),
			boxOf("idat", pad(kept, 16), secret),
			boxOf("iloc", "\x01\x00\x00\x00\x44\x00\x00\x04", place(1, 0, data, 16), place(2, 0, data+16, 16), place(3, 0, data+32, 16), place(4, 1, 0, 16)),
			boxOf("xml ", secret))
	}
	data := len(head) + len(build(0)) + 8
	return []byte(head + build(data) + boxOf("mdat", pad(kept, 16), pad(secret, 16), pad(secret, 16), secret) + boxOf("mpvd", secret))
}
