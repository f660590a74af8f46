package webhook_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/webhook"
)

// author is what a run says of its author, in JSON.
func author(name, email string) string {
	text := func(s string) string { out, _ := json.Marshal(s); return string(out) }
	return `{"name":"author-name","value":` + text(name) + `},{"name":"author-email","value":` + text(email) + `}`
}

// TestAuthorIsWhoPushed goes through what GitHub and Gitea say of the person, and
// what they may leave out.
func TestAuthorIsWhoPushed(t *testing.T) {
	for name, c := range map[string]struct{ pusher, want string }{
		"GitHub":                     {`{"name":"ada","email":"ada@example.com"}`, author("ada", "ada@example.com")},
		"GitHub without address":     {`{"name":"ada","email":null}`, author("", "")},
		"a deploy key":               {`{"name":"ada"}`, author("", "")},
		"Gitea":                      {`{"id":1,"login":"ada","full_name":"Ada Lovelace","email":"ada@example.com","username":"ada"}`, author("Ada Lovelace", "ada@example.com")},
		"Gitea without a whole name": {`{"id":1,"login":"ada","full_name":"","email":"ada@example.com","username":"ada"}`, author("ada", "ada@example.com")},
		"Gitea without address":      {`{"id":1,"login":"ada","full_name":"Ada","email":"","username":"ada"}`, author("", "")},
		"no pusher":                  {`null`, author("", "")},
		"words of JSON":              {`{"name":"a\",\"b","email":"\"@example.com"}`, author(`a","b`, `"@example.com`)},
	} {
		t.Run(name, func(t *testing.T) {
			event := map[string]json.RawMessage{}
			if err := json.Unmarshal(toMain.body(t), &event); err != nil {
				t.Fatal(err)
			}
			event["pusher"] = json.RawMessage(c.pusher)
			body, err := json.Marshal(event)
			if err != nil {
				t.Fatal(err)
			}
			result := receive(t, "apps", signed(body, secret, "push"))
			if len(result.Resources) != 1 {
				t.Fatalf("got %+v", result)
			}
			if got := compact(t, result.Resources[0].Object); !strings.Contains(got, c.want) {
				t.Errorf("the run does not hold %s:\n%s", c.want, got)
			}
		})
	}
}

// TestEveryForgesAuthor is the person whom a host names together with an address.
func TestEveryForgesAuthor(t *testing.T) {
	jo := author("Jo Smith", "jsmith@example.com")
	eachForge(t, func(t *testing.T, name string, f forge, l *webhook.Listener) {
		for _, c := range []struct {
			replace []string
			want    map[string]string
		}{
			{nil, map[string]string{"gitlab": author("", ""), "bitbucket-server": jo, "bitbucket-cloud": author("", "")}},
			{
				map[string][]string{"gitlab": {`"user_email": ""`, `"user_email": "jsmith@example.com"`}, "bitbucket-server": {`"emailAddress": "jsmith@example.com", `, ""}}[name],
				map[string]string{"gitlab": jo, "bitbucket-server": author("", ""), "bitbucket-cloud": author("", "")},
			},
		} {
			result, err := l.Receive(t.Context(), "apps", f.push(t, name, c.replace...))
			if err != nil || len(result.Resources) != 1 {
				t.Fatalf("got %+v, %v", result, err)
			}
			if got := compact(t, result.Resources[0].Object); !strings.Contains(got, c.want[name]) {
				t.Errorf("the run does not hold %s:\n%s", c.want[name], got)
			}
		}
	})
}
