package node

import (
	"path"
)

// mediaType guesses a file's media type from its name. The table is our own: a
// router has no mime.types, and a type must not differ from box to box. Unknown
// names give "".
func mediaType(name string) string {
	var room [16]byte // no longer extension is known
	ext := path.Ext(name)
	if len(ext) > len(room) {
		return ""
	}
	for i := range len(ext) {
		room[i] = lower(ext[i])
	}
	return mediaTypes[string(room[:len(ext)])]
}

// mediaTypes holds IANA media types (RFC 6838) of what people share.
var mediaTypes = map[string]string{
	".3gp": "video/3gpp", ".7z": "application/x-7z-compressed", ".aac": "audio/aac", ".apk": "application/vnd.android.package-archive",
	".avi": "video/x-msvideo", ".avif": "image/avif", ".bmp": "image/bmp", ".bz2": "application/x-bzip2", ".css": "text/css",
	".csv": "text/csv", ".deb": "application/vnd.debian.binary-package", ".djvu": "image/vnd.djvu",
	".doc": "application/msword", ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".epub": "application/epub+zip", ".flac": "audio/flac", ".geojson": "application/geo+json", ".gif": "image/gif",
	".gpx": "application/gpx+xml", ".gz": "application/gzip", ".heic": "image/heic", ".heif": "image/heif", ".htm": "text/html",
	".html": "text/html", ".ico": "image/vnd.microsoft.icon", ".ics": "text/calendar", ".ipk": "application/octet-stream",
	".iso": "application/x-iso9660-image", ".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".js": "text/javascript",
	".json": "application/json", ".jxl": "image/jxl", ".kml": "application/vnd.google-earth.kml+xml",
	".kmz": "application/vnd.google-earth.kmz", ".m4a": "audio/mp4", ".m4v": "video/mp4", ".md": "text/markdown",
	".mid": "audio/midi", ".mkv": "video/x-matroska", ".mobi": "application/x-mobipocket-ebook", ".mov": "video/quicktime",
	".mp3": "audio/mpeg", ".mp4": "video/mp4", ".mpeg": "video/mpeg", ".mpg": "video/mpeg",
	".odp": "application/vnd.oasis.opendocument.presentation", ".ods": "application/vnd.oasis.opendocument.spreadsheet",
	".odt": "application/vnd.oasis.opendocument.text", ".oga": "audio/ogg", ".ogg": "audio/ogg", ".ogv": "video/ogg",
	".opus": "audio/ogg", ".pdf": "application/pdf", ".png": "image/png", ".ppt": "application/vnd.ms-powerpoint",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation", ".rar": "application/vnd.rar",
	".rtf": "application/rtf", ".srt": "application/x-subrip", ".svg": "image/svg+xml", ".tar": "application/x-tar",
	".tif": "image/tiff", ".tiff": "image/tiff", ".torrent": "application/x-bittorrent", ".tsv": "text/tab-separated-values",
	".txt": "text/plain", ".vcf": "text/vcard", ".vtt": "text/vtt", ".wasm": "application/wasm", ".wav": "audio/wav",
	".weba": "audio/webm", ".webm": "video/webm", ".webp": "image/webp", ".xhtml": "application/xhtml+xml",
	".xls": "application/vnd.ms-excel", ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".xml": "application/xml", ".xz": "application/x-xz", ".zip": "application/zip", ".zim": "application/x-zim", ".zst": "application/zstd",
}
