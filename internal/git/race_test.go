package git

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
)

// TestRow01_ANoteThatOthersAlwaysOvertake ends, although its context does not.
func TestRow01_ANoteThatOthersAlwaysOvertake(t *testing.T) {
	s := gittest.NewServer(t)
	repo := s.Create("app", gittest.Files{"a": "1"})
	var pushes atomic.Int32
	s.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if gittest.IsPush(r) {
			repo.Git("-c", "user.name=x", "-c", "user.email=x@y", "notes", "--ref=lockstep", "add", "-f", "-m", fmt.Sprint(pushes.Add(1)), "main")
		}
		return false
	})
	r, err := NewRemote(repo.URL, Access{})
	if err != nil {
		t.Fatal(err)
	}
	if r.raceFor <= 0 {
		t.Fatal("nothing bounds the race")
	}
	r.raceFor = 10 * time.Millisecond
	err = r.AppendNote(t.Context(), Hash(repo.Head("main")), "late", Signature{Name: "x", Email: "x@y", When: time.Now()})
	if f := fault.Of(err); !errors.Is(err, ErrMoved) || f.Kind != fault.KindRetryable || f.Reason != "NoteNotWritten" {
		t.Errorf("got %s: %v", f.Reason, err)
	}
}
