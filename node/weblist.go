package node

import (
	"context"
	"strings"

	"boucan/record"
	"boucan/replica"
	"boucan/share/dropdir"
	"boucan/webui"
)

func (f files) Chosen(_ context.Context, ids []record.ID) ([]webui.File, error) {
	var out []webui.File
	landed := f.n.landed()
	for _, id := range ids {
		rec, ok, err := f.n.records.Get(id)
		if err != nil {
			return nil, err
		}
		if !ok || rec.Kind != record.KindFile {
			continue
		}
		said, err := fileOf(rec)
		if err != nil {
			continue
		}
		if r, ok := f.n.library.names.offered(said.CID, said.Name); ok {
			out = append(out, f.n.webFile(&r, landed))
		}
	}
	return out, nil
}

func (f files) Folder(_ context.Context, folder string, limit int) (webui.Page, error) {
	var page webui.Page
	landed := f.n.landed()
	f.n.library.names.below(folder, func(r *row) {
		if page.Total++; page.Total <= limit {
			page.Files = append(page.Files, f.n.webFile(r, landed))
		}
	})
	return page, nil
}

func (f files) Named(_ context.Context, cid record.CID, name string) (webui.File, error) {
	names := f.n.library.names
	r, ok := names.find(name)
	if !ok || r.cid != cid {
		r, ok = names.first(cid)
	}
	if !ok {
		return webui.File{}, webui.ErrUnknown
	}
	return f.n.webFile(&r, f.n.landed()), nil
}

// below calls visit for every entry in a folder or below it, newest first. The row
// is only valid until it returns.
func (c *catalogue) below(folder string, visit func(*row)) {
	prefix := dropdir.Fold(folder) + "/"
	c.all(func(r *row) bool {
		if strings.HasPrefix(dropdir.Fold(r.name), prefix) {
			visit(r)
		}
		return true
	})
}

func (b box) Beyond() []webui.Peer {
	met := make(map[record.Key]bool)
	for _, m := range b.n.peers.list() {
		met[m.key] = true
	}
	met[b.n.key.Key()] = true
	recs, err := b.n.records.Newest(record.KindCard, replica.Cursor{}, replica.MaxPage)
	if err != nil {
		b.n.log.Warn("the cards of other boxes cannot be read", "error", err)
		return nil
	}
	var out []webui.Peer
	for _, r := range recs {
		card, err := r.Card()
		if err != nil || met[r.Author] || len(out) == webui.MaxBeyond {
			continue
		}
		met[r.Author] = true
		p := webui.Peer{ID: r.Author, Name: b.n.boxName(r.Author), Hops: 2, Files: int(min(card.Files, 1<<30)), Bytes: int64(min(card.Bytes, 1<<60))}
		_, p.LastSeen = b.n.lastSeen(r.Author, r.Created)
		out = append(out, p)
	}
	return out
}
