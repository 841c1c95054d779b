package webui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed static/app.js static/place.js static/app.css static/logo.svg static/icons.svg
var staticFiles embed.FS

// assets are the files of the page that are the same for all, each under a name
// that carries the hash of its content, so that a browser asks once.
type assets struct {
	urls   map[string]string // by plain name, as "app.css"
	byName map[string]asset  // by hashed name
}

type asset struct {
	contentType  string
	body, zipped []byte // zipped is nil where it saves nothing
}

// loadAssets hashes and compresses the static files, once at start.
func loadAssets() (*assets, error) {
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		return nil, err
	}
	a := &assets{urls: make(map[string]string), byName: make(map[string]asset)}
	for _, e := range entries {
		body, err := staticFiles.ReadFile("static/" + e.Name())
		if err != nil {
			return nil, err
		}
		types := map[string]string{
			".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
		}
		ext := path.Ext(e.Name())
		if types[ext] == "" {
			return nil, fmt.Errorf("%s: no content type for it", e.Name())
		}
		sum := sha256.Sum256(body)
		hashed := strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:5]) + ext
		one := asset{contentType: types[ext], body: body}
		if zipped := gzipped(body); len(zipped) < len(body) {
			one.zipped = zipped
		}
		a.byName[hashed] = one
		a.urls[e.Name()] = "/static/" + hashed
	}
	return a, nil
}

func gzipped(body []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // fails for other levels only
	z.Write(body)                                         // a buffer never fails
	z.Close()
	return b.Bytes()
}

// url is the address of a static file; an unknown name breaks the template
// that asks for it.
func (a *assets) url(name string) (string, error) {
	u, ok := a.urls[name]
	if !ok {
		return "", fmt.Errorf("no static file %q", name)
	}
	return u, nil
}

// serve answers /static/{file}. A name with an old hash is gone: the page that
// asked for it was made by another version and is loaded again anyway.
func (a *assets) serve(w http.ResponseWriter, r *http.Request) {
	one, ok := a.byName[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", one.contentType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body := one.body
	if one.zipped != nil && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = one.zipped
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone
	}
}
