package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// usage is what the program measure reports.
type usage struct {
	Wall, User, System time.Duration
	MaxRSS             int64 // KiB, of the largest process
	Exit               int
}

// lab is where things are measured: a Git host behind a link, a folder for
// repositories and runs, and the programs under test.
type lab struct {
	dir      string
	programs string
	host     *host
	link     *link
	runs     atomic.Int64
}

// newLab works below dir, which is on the file system of the fixtures: their
// packs are linked, not copied, for every run.
func newLab(dir, programs string) (*lab, error) {
	work, err := os.MkdirTemp(dir, "run-")
	if err != nil {
		return nil, err
	}
	l := &lab{dir: work, programs: programs}
	if err := os.Mkdir(l.repositories(), 0o755); err != nil {
		return nil, err
	}
	if l.host, err = newHost(l.repositories()); err != nil {
		return nil, err
	}
	l.link, err = newLink(l.host.address)
	return l, err
}

func (l *lab) repositories() string { return filepath.Join(l.dir, "repositories") }

func (l *lab) close() {
	l.link.close()
	l.host.close()
	os.RemoveAll(l.dir)
}

// place is where one run happens: a repository as the fixture has it, and a
// folder with home, temporary files and work of its own.
type place struct {
	repository string
	dir        string
	env        []string
}

func (l *lab) newPlace(f fixture) (place, error) {
	name := fmt.Sprintf("%s-%d", f.Name, l.runs.Add(1))
	p := place{repository: filepath.Join(l.repositories(), name+".git"), dir: filepath.Join(l.dir, name)}
	if err := linkTree(f.Dir, p.repository); err != nil {
		return p, err
	}
	p.env = append(p.env, "URL="+l.link.url()+"/"+name+".git")
	return p, nil
}

// folder makes the folder of a process and returns its environment.
func (l *lab) folder(p place, name string) (dir string, env []string, err error) {
	dir = filepath.Join(p.dir, name)
	for _, sub := range []string{"home", "tmp", "work"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return "", nil, err
		}
	}
	config := "[user]\n\tname = Bench\n\temail = bench@example.com\n[advice]\n\tdetachedHead = false\n"
	if err := os.WriteFile(filepath.Join(dir, "home", ".gitconfig"), []byte(config), 0o644); err != nil {
		return "", nil, err
	}
	return filepath.Join(dir, "work"), append([]string{
		"HOME=" + filepath.Join(dir, "home"), "TMPDIR=" + filepath.Join(dir, "tmp"), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"PATH=" + l.programs + ":" + os.Getenv("PATH"), "LOCK=" + filepath.Join(p.dir, "lock"),
	}, p.env...), nil
}

func (l *lab) clear(p place) {
	if err := os.RemoveAll(p.dir); err != nil {
		slog.Warn("leftover", "error", err)
	}
	if err := os.RemoveAll(p.repository); err != nil {
		slog.Warn("leftover", "error", err)
	}
}

// measure runs a program to its end. The error has what it printed.
func (l *lab) measure(ctx context.Context, dir string, env []string, program string, args ...string) (usage, error) {
	report := filepath.Join(filepath.Dir(dir), "report.json")
	cmd := exec.CommandContext(ctx, filepath.Join(l.programs, "measure"), append([]string{report, program}, args...)...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	if err != nil {
		return usage{}, fmt.Errorf("%s: %w: %s", program, err, out)
	}
	line, err := os.ReadFile(report)
	if err != nil {
		return usage{}, err
	}
	var used usage
	if err := json.Unmarshal(line, &used); err != nil {
		return usage{}, err
	}
	if used.Exit != 0 {
		return used, fmt.Errorf("%s: exit %d: %s", program, used.Exit, strings.TrimSpace(string(out)))
	}
	return used, nil
}

// linkTree copies a repository; its objects, which nobody writes to, as links.
func linkTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		switch {
		case entry.IsDir():
			return os.MkdirAll(target, 0o755)
		case strings.HasPrefix(name, "objects"+string(filepath.Separator)):
			return os.Link(path, target)
		case strings.HasPrefix(name, "hooks"+string(filepath.Separator)):
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o644)
	})
}

// treeAfter is the tree that the fixture has after promotions: what every
// contender must leave.
func (l *lab) treeAfter(ctx context.Context, f fixture, versions map[string]string) (string, error) {
	p, err := l.newPlace(f)
	if err != nil {
		return "", err
	}
	defer l.clear(p)
	text, err := git(ctx, p.repository, "show", "main:requirements.yaml")
	if err != nil {
		return "", err
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if version, ours := versions[strings.TrimPrefix(line, "- name: ")]; ours && strings.HasPrefix(line, "- name: ") {
			lines[i+1] = "  version: " + version
		}
	}
	blob, err := gitFrom(ctx, p.repository, strings.NewReader(strings.Join(lines, "\n")+"\n"), "hash-object", "-w", "--stdin")
	if err != nil {
		return "", err
	}
	for _, args := range [][]string{{"read-tree", "main"}, {"update-index", "--cacheinfo", "100644," + blob + ",requirements.yaml"}} {
		if _, err := git(ctx, p.repository, args...); err != nil {
			return "", err
		}
	}
	return git(ctx, p.repository, "write-tree")
}

// brief is an error as one line of a log: a hundred writers say a lot.
func brief(err error) string {
	const most = 300
	text := strings.Join(strings.Fields(err.Error()), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
