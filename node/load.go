package node

import (
	"iter"
	"sync"

	"boucan/record"
)

// load fills the catalogue from the records held. It is called once, before
// anything else runs.
func (l *library) load() error {
	recs, failed := l.records.All(record.KindFile)
	l.names.fill(l.records.Count(record.KindFile), recs)
	return failed()
}

// fillBatch is how many records are handed over at a time, see fill.
const fillBatch = 128

// fill takes in the records of all living files, about count, into a catalogue
// that is empty. One goroutine reads while another enters. What would be moved
// about again and again while they come is made when all are there.
func (c *catalogue) fill(count int, recs iter.Seq[*record.Record]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byID.reserve(count)
	c.byCID.reserve(count)
	c.byName.reserve(count)
	c.byAge.later = true

	read, used := make(chan []listed, 1), make(chan []listed, 2)
	used <- make([]listed, 0, fillBatch)
	used <- make([]listed, 0, fillBatch)
	var entering sync.WaitGroup
	entering.Go(func() {
		for batch := range read {
			for i := range batch {
				c.enter(&batch[i])
			}
			used <- batch[:0]
		}
	})
	batch := <-used
	for r := range recs {
		if f, err := r.File(); err == nil && possible(f) {
			batch = append(batch, listedOf(r, f))
		}
		if len(batch) == cap(batch) {
			read <- batch
			batch = <-used
		}
	}
	read <- batch
	close(read)
	entering.Wait()
	c.byAge.order(c.entries())
}

// entries lists all entries in no order; the caller holds mu.
func (c *catalogue) entries() []*entry {
	all := make([]*entry, 0, c.byAge.count)
	for _, e := range c.byCID.slots {
		if e == nil {
			continue
		}
		all = append(all, e)
		if e.more != nil {
			for twin := range e.more.twins {
				all = append(all, twin)
			}
		}
	}
	return all
}
