package node

import (
	"boucan/share/dropdir"
	"boucan/webui"
)

// trouble is what keeps anything from being dropped, nil where nothing does.
func (n *Node) trouble() error {
	switch n.blobs.Usage().Condition {
	case dropdir.Fine:
		return nil
	case dropdir.Other, dropdir.Unmarked:
		return webui.ErrOther
	case dropdir.ReadOnly:
		return webui.ErrReadOnly
	case dropdir.Failing, dropdir.Silent:
		return webui.ErrFailing
	}
	return webui.ErrAway
}
