package pipelines

import (
	"strings"
	"testing"
)

// TestEachLineSaysWhoseItIs: also one that comes in pieces, and a last one without an end.
func TestEachLineSaysWhoseItIs(t *testing.T) {
	var out strings.Builder
	p := &prefixed{out: &out, prefix: "[deploy verify] "}
	for _, piece := range []string{"2 of", " 4 ready\n3 of 4", "", " ready\n\nlast"} {
		if _, err := p.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time there is nothing left
		if err := p.end(); err != nil {
			t.Fatal(err)
		}
	}
	const want = "[deploy verify] 2 of 4 ready\n[deploy verify] 3 of 4 ready\n[deploy verify] \n[deploy verify] last\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
