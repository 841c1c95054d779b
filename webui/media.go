package webui

import (
	"mime"
	"net/http"
	"path"
	"strings"
	"unicode/utf8"

	"boucan/record"
)

// Kinds of file, as the list shows them and the API names them.
const (
	kindImage    = "image"
	kindVideo    = "video"
	kindAudio    = "audio"
	kindText     = "text"
	kindDocument = "document"
	kindArchive  = "archive"
	kindApp      = "app"
	kindOther    = "other"
)

// textType is how everything that is text is served, whatever it calls itself:
// the browser shows it and runs nothing.
const textType = "text/plain; charset=utf-8"

const (
	binaryType = "application/octet-stream"
	pdfType    = "application/pdf"
)

// byExtension names the types this box serves. It is a table of its own because
// the system's differs from machine to machine. What is not in it is served
// as binaryType, to be saved: web pages, SVG, scripts and whatever else a browser
// might run are left out on purpose.
var byExtension = extensions(map[string]string{
	"image/jpeg": "jpg jpeg jpe jfif", "image/png": "png apng", "image/gif": "gif", "image/webp": "webp",
	"image/avif": "avif", "image/bmp": "bmp", "image/x-icon": "ico", "image/heic": "heic heif hif",
	"image/tiff": "tif tiff", "image/jxl": "jxl", "image/x-raw": "dng cr2 cr3 nef arw orf rw2 raf",

	"video/mp4": "mp4 m4v", "video/webm": "webm", "video/ogg": "ogv", "video/quicktime": "mov qt",
	"video/x-matroska": "mkv", "video/3gpp": "3gp 3gpp", "video/x-msvideo": "avi", "video/mpeg": "mpg mpeg", "video/x-ms-wmv": "wmv",

	"audio/mpeg": "mp3", "audio/mp4": "m4a m4b aac", "audio/ogg": "ogg oga opus", "audio/flac": "flac", "audio/wav": "wav",
	"audio/webm": "weba", "audio/midi": "mid midi", "audio/amr": "amr", "audio/x-ms-wma": "wma", "audio/aiff": "aif aiff",

	textType: "txt text md markdown log csv tsv json yaml yml toml ini conf cfg srt vtt ics vcf gpx tex diff patch" +
		" c h cc cpp hpp go rs py rb java kt swift ts sh bash lua pl sql nfo",

	pdfType: "pdf", "application/epub+zip": "epub", "application/rtf": "rtf",
	"application/msword": "doc", "application/vnd.ms-excel": "xls", "application/vnd.ms-powerpoint": "ppt",
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document":   "docx",
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":         "xlsx",
	"application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
	"application/vnd.oasis.opendocument.text":                                   "odt",
	"application/vnd.oasis.opendocument.spreadsheet":                            "ods",
	"application/vnd.oasis.opendocument.presentation":                           "odp",

	"application/zip": "zip cbz", "application/gzip": "gz tgz", "application/x-tar": "tar", "application/x-7z-compressed": "7z",
	"application/vnd.rar": "rar cbr", "application/x-xz": "xz", "application/zstd": "zst", "application/x-bzip2": "bz2",

	"application/vnd.android.package-archive": "apk", "application/vnd.debian.binary-package": "deb",
	"application/x-iso9660-image": "iso", "application/x-apple-diskimage": "dmg", "application/vnd.microsoft.portable-executable": "exe msi",
})

func extensions(byType map[string]string) map[string]string {
	m := make(map[string]string)
	for t, list := range byType {
		for ext := range strings.FieldsSeq(list) {
			m["."+ext] = t
		}
	}
	return m
}

// inline lists what a browser may show in its window: it runs nothing, and the
// sandbox of contentPolicy holds it anyway.
var inline = map[string]bool{
	"image/jpeg": true, "image/png": true, "image/gif": true, "image/webp": true, "image/avif": true, "image/bmp": true,
	"video/mp4": true, "video/webm": true, "video/ogg": true, "video/quicktime": true,
	"audio/mpeg": true, "audio/mp4": true, "audio/ogg": true, "audio/flac": true, "audio/wav": true, "audio/webm": true,
	textType: true, pdfType: true,
}

// typeOf is the type to serve a file as: by its name, else by what its record
// says, each only where this box knows that type. Empty where neither helps.
func typeOf(name, mediaType string) string {
	if ext := strings.ToLower(path.Ext(name)); ext != "" {
		if t := byExtension[ext]; t != "" {
			return t
		}
		if isActive(ext) {
			return binaryType
		}
	}
	return knownType(mediaType)
}

// isActive is true for names whose bytes a browser might run.
func isActive(ext string) bool {
	switch ext {
	case ".html", ".htm", ".xhtml", ".xht", ".shtml", ".mht", ".mhtml", ".svg", ".svgz", ".xml", ".xsl", ".xslt", ".js", ".mjs",
		".swf", ".hta", ".htc", ".wasm", ".webmanifest", ".rss", ".atom":
		return true
	}
	return false
}

// knownType is mediaType where this box serves it, textType for any other kind
// of plain text, else empty.
func knownType(mediaType string) string {
	t, _, err := mime.ParseMediaType(mediaType)
	if err != nil {
		return ""
	}
	if t == "text/plain" || t == "text/markdown" || t == "text/csv" {
		return textType
	}
	for _, known := range byExtension {
		if known == t {
			return t
		}
	}
	return ""
}

// sniffed is the type that the first bytes of a file show (WHATWG MIME sniffing,
// as net/http does it), where it is harmless; else binaryType.
func sniffed(head []byte) string {
	t, _, _ := mime.ParseMediaType(http.DetectContentType(head))
	if t == "text/plain" {
		// The head may end within a character.
		for cut := 0; cut < utf8.UTFMax && cut < len(head); cut++ {
			if utf8.Valid(head[:len(head)-cut]) {
				return textType
			}
		}
		return binaryType
	}
	if inline[t] {
		return t
	}
	return binaryType
}

// kindOf sorts a file for the list.
func kindOf(name, mediaType string) string {
	t := typeOf(name, mediaType)
	major, _, _ := strings.Cut(t, "/")
	switch {
	case t == "" || t == binaryType:
		return kindOther
	case major == "image" || major == "video" || major == "audio" || major == "text":
		return major
	}
	switch t {
	case "application/zip", "application/gzip", "application/x-tar", "application/x-7z-compressed", "application/vnd.rar",
		"application/x-xz", "application/zstd", "application/x-bzip2":
		return kindArchive
	case "application/vnd.android.package-archive", "application/vnd.debian.binary-package", "application/x-iso9660-image",
		"application/x-apple-diskimage", "application/vnd.microsoft.portable-executable":
		return kindApp
	}
	return kindDocument
}

// disposition is a Content-Disposition header (RFC 6266) with the name in plain
// ASCII for old clients and in UTF-8 (RFC 8187) for the others.
func disposition(attachment bool, name string) string {
	kind := "inline"
	if attachment {
		kind = "attachment"
	}
	var plain, full strings.Builder
	for _, c := range []byte(record.CleanLine(name, record.MaxNamePart)) {
		attr := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$&+-.^_`|~", c) >= 0
		switch {
		case c >= 0x80 || c < 0x20 || c == 0x7f || c == '"' || c == '\\' || c == '%' || c == ';':
			plain.WriteByte('_')
		default:
			plain.WriteByte(c)
		}
		if attr {
			full.WriteByte(c)
		} else {
			const hex = "0123456789ABCDEF"
			full.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return kind + `; filename="` + plain.String() + `"; filename*=UTF-8''` + full.String()
}
