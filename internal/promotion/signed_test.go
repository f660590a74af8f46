package promotion_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/git/gittest"
	"github.com/lockstep-cd/lockstep/internal/promotion"
	"github.com/lockstep-cd/lockstep/internal/signature"
	"github.com/lockstep-cd/lockstep/internal/signature/signaturetest"
)

func newKey(t *testing.T) (*signature.Key, string) {
	t.Helper()
	pair := signaturetest.SSH(t, "ed25519", "", "")
	key, err := signature.Folder{SigningKey: pair.Folder}.Key()
	if err != nil {
		t.Fatal(err)
	}
	return key, pair.Public
}

// believe makes the repository's own git believe a key.
func believe(t *testing.T, r *gittest.Repository, public string) {
	t.Helper()
	r.Git("config", "gpg.ssh.allowedSignersFile", filepath.Join(signaturetest.Allow(t, "ci@example.com "+public), "allowed_signers"))
}

// TestRow47_WritersWithAndWithoutAKey promote into one branch at once, each of
// them taking others along. What a writer with the key wanted is signed with it,
// and nothing else is.
func TestRow47_WritersWithAndWithoutAKey(t *testing.T) {
	t.Parallel()
	key, public := newKey(t)
	for name, signs := range map[string]func(i int) bool{
		"all":  func(int) bool { return true },
		"some": func(i int) bool { return i%2 == 0 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRush(t)
			believe(t, r.repository, public)
			landed := atOnce(t, writers, func(i int) (promotion.Landed, error) {
				if signs(i) {
					return r.promoteWith(t.Context(), i, key)
				}
				return r.promote(t.Context(), i)
			})
			r.check(t, landed)
			r.wantNoRequests(t)
			for i, l := range landed {
				want := "N"
				if signs(i) {
					want = "G"
				}
				if got := r.repository.Git("show", "-s", "--format=%G?", string(l.Commit)); l.Outcome == promotion.Promoted && got != want {
					t.Errorf("the commit of writer %d is verified as %s, want %s", i, got, want)
				}
			}
		})
	}
}

// TestRow47_RequestsAndKeys: a leader signs only what a writer with the same key
// asked for, and commits nothing unsigned that was to be signed.
func TestRow47_RequestsAndKeys(t *testing.T) {
	t.Parallel()
	ours, public := newKey(t)
	theirs, _ := newKey(t)
	for name, test := range map[string]struct {
		leader  *signature.Key
		inID    *signature.Key // what the id is made for
		says    *signature.Key // whose key the request names
		signed  *signature.Key // who signed it
		carried bool
	}{
		"with our key":                       {leader: ours, inID: ours, says: ours, signed: ours, carried: true},
		"without a key, for one with a key":  {leader: ours},
		"with a key, for one without":        {inID: ours, says: ours, signed: ours},
		"the same, hidden in the id":         {says: ours, signed: ours},
		"with another key":                   {leader: ours, inID: theirs, says: theirs, signed: theirs},
		"another key, hidden in the id":      {leader: ours, inID: ours, says: theirs, signed: theirs},
		"naming our key, unsigned":           {leader: ours, inID: ours, says: ours},
		"naming our key, signed by another":  {leader: ours, inID: ours, says: ours, signed: theirs},
		"not naming our key, signed with it": {leader: ours, inID: ours, signed: ours},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRush(t)
			believe(t, r.repository, public)
			id := r.leaveSigned(t, test.inID, test.says, test.signed)
			if _, err := r.promoteWith(t.Context(), 0, test.leader); err != nil {
				t.Fatal(err)
			}
			chart := r.repository.File("main", "Chart.yaml")
			if got := strings.Contains(chart, "6.6.6"); got != test.carried || !strings.Contains(chart, "1.1.0") {
				t.Errorf("carried out: %v, want %v:\n%s", got, test.carried, chart)
			}
			if left := r.repository.Git("for-each-ref", requestRef(id)); (left != "") == test.carried {
				t.Errorf("left: %q", left)
			}
			if test.carried && r.repository.Git("log", "-2", "--format=%G?", "main") != "G\nG" {
				t.Errorf("what was taken along is not signed:\n%s", r.repository.Git("log", "--format=%G? %s", "main"))
			}
		})
	}
}

// leaveSigned leaves a request as a writer would that has our credential.
func (r *rush) leaveSigned(t *testing.T, inID, says, by *signature.Key) (id string) {
	t.Helper()
	remote, now := r.remote(t), time.Now()
	id, _ = promotion.NewID(remote, promotion.Scope("refs/heads/main", inID), now)
	text, err := json.Marshal(map[string]any{
		"id": id, "branch": "refs/heads/main", "made": now, "key": says.ID(),
		"intent":  promotion.Intent{File: "Chart.yaml", Kind: promotion.Dependency, Name: "app-01", From: "1.0.0", To: "6.6.6"},
		"message": promotion.Message{Text: "chore: promote app-01 to version 6.6.6"}, "author": git.Signature{Name: "Dead", Email: "dead@example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	seal, _ := remote.Seal(text)
	files := gittest.Files{"request.json": string(text), "seal": seal}
	if by != nil {
		if files["signature"], err = by.Sign(signature.Request, text); err != nil {
			t.Fatal(err)
		}
	}
	r.server.Create("request-"+id, files)
	r.repository.Git("fetch", "-q", filepath.Join(r.server.Dir, "request-"+id+".git"), "main:"+requestRef(id))
	return id
}
