package node

import (
	"errors"

	"boucan/control"
	"boucan/share"
)

// scrubRate is what the scrub reads at most, bytes a second; 0 for none.
func (c Config) scrubRate() int64 {
	if c.Scrub != 0 {
		return max(c.Scrub, 0)
	}
	return c.Profile.Scrub
}

// Scrub implements control.Node.
func (o operator) Scrub(order string) (control.Scrub, error) {
	if err := o.orderScrub(order); err != nil {
		return control.Scrub{}, err
	}
	s := o.n.blobs.Scrub()
	out := control.Scrub{
		State: string(s.State), Rate: s.Rate, Begun: s.Begun, Finished: s.Finished, Next: s.Next,
		Done: s.Done, Total: s.Total, Files: s.Files, Found: s.Found, Damaged: o.n.blobs.Usage().Damaged, List: []control.Damaged{},
	}
	all, end := o.n.blobs.Damages()
	for d := range all {
		if len(out.List) == control.MaxDamaged {
			break
		}
		out.List = append(out.List, control.Damaged{
			Path: d.Path, CID: d.CID.String(), Size: d.Size, Chunks: d.Chunks, Since: d.Since,
		})
	}
	return out, end()
}

// orderScrub does what the operator says.
func (o operator) orderScrub(order string) error {
	state := o.n.blobs.Scrub().State
	switch order {
	case "":
		return nil
	case control.ScrubStart:
		return o.n.blobs.StartScrub()
	case control.ScrubPause:
		return o.n.blobs.PauseScrub()
	case control.ScrubResume:
		if state != share.ScrubPaused && state != share.ScrubAlarmed {
			return errors.New("the scrub is not paused")
		}
		return o.n.blobs.ResumeScrub()
	}
	return errors.New("of a scrub one can order start, pause and resume")
}
