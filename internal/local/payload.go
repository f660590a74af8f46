package local

import (
	"context"
	"fmt"
	"path"
	"strings"
)

// pushEvent is the payload of a push as GitHub sends it, with the fields that
// Gitea shares: https://docs.github.com/webhooks/webhook-events-and-payloads#push
type pushEvent struct {
	Ref        string          `json:"ref"`
	Before     string          `json:"before"`
	After      string          `json:"after"`
	Created    bool            `json:"created"`
	Deleted    bool            `json:"deleted"`
	Forced     bool            `json:"forced"`
	HeadCommit *commit         `json:"head_commit"` // null for a deletion
	Commits    []commit        `json:"commits"`     // oldest first, at most maxCommits
	Repository eventRepository `json:"repository"`
	Pusher     person          `json:"pusher"`
	Sender     sender          `json:"sender"`
}

type eventRepository struct {
	Name          string `json:"name"`
	FullName      string `json:"full_name"`
	Owner         sender `json:"owner"`
	HTMLURL       string `json:"html_url"`
	CloneURL      string `json:"clone_url"`
	DefaultBranch string `json:"default_branch"`
}

type sender struct {
	Login string `json:"login"`
}

type person struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

type commit struct {
	ID        string   `json:"id"`
	TreeID    string   `json:"tree_id"`
	Message   string   `json:"message"`
	Timestamp string   `json:"timestamp"`
	URL       string   `json:"url"`
	Author    person   `json:"author"`
	Committer person   `json:"committer"`
	Added     []string `json:"added"`
	Removed   []string `json:"removed"`
	Modified  []string `json:"modified"`
}

// maxCommits is how many commits a payload lists; GitHub lists 2,048.
const maxCommits = 20

// pushed describes a delivery's change. base is the address of this server.
func (r *Repositories) pushed(ctx context.Context, base string, d Delivery) (pushEvent, error) {
	html := base + "/git/" + d.Repository
	e := pushEvent{
		Ref: d.Ref, Before: d.Before, After: d.After, Created: d.Before == zeros, Deleted: d.After == zeros, Commits: []commit{},
		Pusher: person{Name: d.Pusher, Email: d.Pusher + "@localhost"}, Sender: sender{d.Pusher},
		Repository: eventRepository{
			Name: path.Base(d.Repository), FullName: d.Repository, Owner: sender{path.Dir(d.Repository)},
			HTMLURL: html, CloneURL: html + ".git", DefaultBranch: "main",
		},
	}
	if e.Deleted || !r.isCommit(ctx, d.Repository, d.After) {
		return e, nil
	}
	if !e.Created {
		_, err := r.run(ctx, r.path(d.Repository), "merge-base", "--is-ancestor", d.Before, d.After)
		e.Forced = err != nil
	}
	var err error
	if e.Commits, err = r.commits(ctx, d, html); err != nil {
		return e, err
	}
	head, err := r.describe(ctx, d.Repository, html, d.After)
	if err == nil && len(head) == 1 {
		e.HeadCommit = &head[0]
		if d.Pusher == withoutLogin {
			e.Pusher = head[0].Committer // without a login only the commit says who it was
		}
	}
	return e, err
}

// isCommit is false for a tag of something else, which has no history to tell.
func (r *Repositories) isCommit(ctx context.Context, name, object string) bool {
	_, err := r.run(ctx, r.path(name), "rev-parse", "-q", "--verify", object+"^{commit}")
	return err == nil
}

// commits lists what a change brought, oldest first.
func (r *Repositories) commits(ctx context.Context, d Delivery, html string) ([]commit, error) {
	args := []string{"rev-list", "--reverse", fmt.Sprintf("--max-count=%d", maxCommits), d.After}
	if d.Before != zeros {
		args = append(args, "^"+d.Before)
	}
	out, err := r.run(ctx, r.path(d.Repository), args...)
	if err != nil {
		return nil, err
	}
	return r.describe(ctx, d.Repository, html, strings.Fields(string(out))...)
}

// fields of a commit, each ended by a zero byte, which no commit can hold.
const fields = "%H%x00%T%x00%an%x00%ae%x00%cn%x00%ce%x00%cI%x00%B"

func (r *Repositories) describe(ctx context.Context, name, html string, ids ...string) ([]commit, error) {
	all := []commit{}
	if len(ids) == 0 {
		return all, nil
	}
	out, err := r.run(ctx, r.path(name), append([]string{"log", "--no-walk=unsorted", "-z", "--format=" + fields}, ids...)...)
	if err != nil {
		return nil, err
	}
	for f := strings.Split(string(out), "\x00"); len(f) >= 8; f = f[8:] {
		c := commit{
			ID: f[0], TreeID: f[1], Author: person{f[2], f[3]}, Committer: person{f[4], f[5]}, Timestamp: f[6],
			Message: strings.TrimSpace(f[7]), URL: html + "/commit/" + f[0],
		}
		if err := r.files(ctx, name, &c); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// files fills in what a commit did to which files. A merge names none, as on
// the hosts.
func (r *Repositories) files(ctx context.Context, name string, c *commit) error {
	c.Added, c.Removed, c.Modified = []string{}, []string{}, []string{}
	out, err := r.run(ctx, r.path(name), "diff-tree", "--root", "-r", "-z", "--name-status", "--no-renames", "--no-commit-id", c.ID)
	if err != nil {
		return err
	}
	for f := strings.Split(string(out), "\x00"); len(f) >= 2; f = f[2:] {
		switch f[0] {
		case "A":
			c.Added = append(c.Added, f[1])
		case "D":
			c.Removed = append(c.Removed, f[1])
		default:
			c.Modified = append(c.Modified, f[1])
		}
	}
	return nil
}
