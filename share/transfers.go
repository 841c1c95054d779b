package share

import "context"

// transfers is the moving of blobs between boxes.
type transfers struct{}

func newTransfers(*Blobs) *transfers { return &transfers{} }

// run fetches what is wanted until ctx ends. Blobs.Run calls it once.
func (t *transfers) run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
