package promotion_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/promotion"
)

// TestRow01_WaitingGivesUp: a promotion whose place is taken by others each time ends
// with an answer.
func TestRow01_WaitingGivesUp(t *testing.T) {
	server := gittest.NewServer(t)
	repository := server.Create("production", gittest.Files{"Chart.yaml": list("1.0.0")})
	remote, err := git.NewRemote(repository.URL, git.Access{})
	if err != nil {
		t.Fatal(err)
	}
	pushes := 0
	server.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if gittest.IsPush(r) {
			pushes++
			other := repository.Git("commit-tree", "-m", strconv.Itoa(pushes), "main^{tree}")
			repository.Git("update-ref", promotion.WaitingRefs("production")+"web", other)
		}
		return false
	})
	p := promotion.Promotion{Application: "web", Chart: edit.Selector{Name: "web"}, Version: "1.0.1", Patience: 500 * time.Millisecond}
	err = p.Wait(t.Context(), promotion.Target{Environment: "production", Remote: remote, Branch: "main", Path: "."}, environment.Decision{})
	if reason(err) != "PushContention" || pushes == 0 {
		t.Errorf("Wait = %v after %d pushes", err, pushes)
	}
}
