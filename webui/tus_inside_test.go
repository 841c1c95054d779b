package webui

import (
	"strings"
	"testing"

	"boucan/record"
)

// FuzzMetadata: whatever stands in the header, name and wishes keep to what a
// record takes.
func FuzzMetadata(f *testing.F) {
	for _, s := range []string{"", "filename YS50eHQ=", "filename YQ==,filetype dGV4dC9wbGFpbg==,days Nw==,description YQ==", "a,b,c", "filename", ", ,", "filename YQ==, days OTE=", strings.Repeat("x ,", 30)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		name, o, err := readMetadata(header)
		if err != nil {
			return
		}
		file := record.File{Name: name, CID: record.NewCID(record.CodecRaw, [32]byte{}), MediaType: o.MediaType, Description: o.Description}
		if err := file.Check(); err != nil {
			t.Errorf("%v: %q %+v", err, name, o)
		}
		if o.Life < 0 || o.Life > maxDays*24*3600e9 {
			t.Errorf("life is %v", o.Life)
		}
	})
}

func TestUploadSecretsDiffer(t *testing.T) {
	a, b := uploadSecret("A"), uploadSecret("B")
	if a.id() == b.id() || *a.undo() == *b.undo() || a.id() == [32]byte{} {
		t.Error("secrets are not told apart")
	}
	id := a.id()
	if u := a.undo(); string(u[:]) == string(id[:len(u)]) {
		t.Error("the undo secret, which is shown in the end, names the upload")
	}
}
