package internal_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/lockstep-cd/lockstep/"

// rooms says what each room below internal/ may import of the others. Every
// room may also import fault, which says what an error means and knows nothing.
var rooms = map[string][]string{
	"fault":       {},
	"redact":      {},
	"clock":       {},
	"retry":       {},
	"step":        {"redact"},
	"signature":   {},
	"git":         {"redact", "clock", "signature", "retry"},
	"yaml":        {},
	"edit":        {"yaml"},
	"document":    {"yaml"},
	"precedence":  {},
	"environment": {"yaml", "signature", "document", "precedence"},
	"application": {"document", "yaml"},
	"registry":    {"redact", "yaml", "retry"},
	"promotion":   {"git", "edit", "environment", "registry", "redact", "signature", "forge", "precedence", "retry"}, // forge: one of two ways to deliver
	"view":        {"git", "environment", "promotion", "precedence"},
	"catalog":     {"git", "edit", "environment", "application", "promotion", "forge", "signature"},
	"pipelines":   {"cluster"},
	"provision":   {"git", "document", "environment", "application", "forge", "cluster"},
	"reconcile":   {"git", "document", "environment", "application", "promotion", "catalog", "provision", "cluster", "release"},
	"chart":       {"registry", "redact"},
	"cluster":     {"redact", "clock"},
	"release":     {"cluster", "chart"},
	"rollout":     {"cluster"},
	"forge":       {"redact", "retry"},
	"gobuild":     {},
	"runner":      {"gobuild"},
	"webhook":     {},
	"local":       {"registry", "redact", "retry"},
}

// owners says who alone may import a library: the prefix of its path, and the
// rooms and folders that may.
var owners = []struct {
	library string
	by      []string
}{
	{"github.com/urfave/cli", []string{"cmd/"}},
	{"github.com/sethvargo/go-envconfig", []string{"internal/step", "cmd/"}},
	{"github.com/go-git/", []string{"internal/git"}},
	{"github.com/ProtonMail/go-crypto", []string{"internal/signature"}},
	{"github.com/hiddeco/sshsig", []string{"internal/signature"}},
	{"go.yaml.in/yaml", []string{"internal/yaml"}},
	{"gopkg.in/yaml", []string{"internal/yaml"}},
	{"github.com/google/go-containerregistry", []string{"internal/registry"}},
	{"helm.sh/helm/v3/pkg/action", []string{"internal/release"}},
	{"helm.sh/helm/v3/pkg/release", []string{"internal/release"}},
	{"helm.sh/helm/v3/pkg/storage", []string{"internal/release"}},
	{"helm.sh/helm/v3/pkg/kube", []string{"internal/cluster", "internal/release"}},
	{"helm.sh/helm/v3/pkg/chart", []string{"internal/chart", "internal/release"}},
	{"helm.sh/helm/v3/pkg/downloader", []string{"internal/chart"}},
	{"helm.sh/helm/v3/pkg/repo", []string{"internal/chart"}},
	{"k8s.io/client-go", []string{"internal/cluster"}},
	{"k8s.io/cli-runtime", []string{"internal/cluster"}},
	{"github.com/fluxcd/cli-utils", []string{"internal/rollout"}},
	{"github.com/tektoncd/pipeline", []string{"internal/runner"}},
	{"github.com/tektoncd/triggers", []string{"internal/webhook"}},
	{"github.com/drone/go-scm", []string{"internal/forge"}},
}

// gitOnly are the programs that start in milliseconds because neither Helm nor
// client-go is linked into them.
var gitOnly = []string{"clone", "next-version", "tag", "bump-version", "commit", "promote", "rollback", "create-environment", "delete-environment"}

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func (p pkg) path() string { return strings.TrimPrefix(p.ImportPath, module) }

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./internal/...", "./steps/...", "./cmd/...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func TestRoomsKnowOnlyTheirOwn(t *testing.T) {
	for _, p := range list(t) {
		for _, imported := range p.Imports {
			checkRoom(t, p.path(), imported)
			checkOwner(t, p.path(), imported)
		}
	}
}

func checkRoom(t *testing.T, path, imported string) {
	ours, found := strings.CutPrefix(imported, module)
	if !found {
		return
	}
	if strings.HasPrefix(ours, "steps/") || strings.HasPrefix(ours, "cmd/") {
		t.Errorf("%s imports %s: these are programs, nobody imports them", path, ours)
	}
	inside, isRoom := strings.CutPrefix(path, "internal/")
	target, toRoom := strings.CutPrefix(ours, "internal/")
	if !isRoom || !toRoom || isTestSupport(path) {
		return
	}
	from, to := roomOf(inside), roomOf(target)
	allowed, known := rooms[from]
	if !known {
		t.Errorf("internal/%s is not in the table of rooms: add it, with what it may import", from)
		return
	}
	if from != to && to != "fault" && !slices.Contains(allowed, to) {
		t.Errorf("%s imports internal/%s; the room %s may import %v", path, to, from, allowed)
	}
}

func checkOwner(t *testing.T, path, imported string) {
	if isTestSupport(path) {
		return
	}
	for _, o := range owners {
		if !strings.HasPrefix(imported, o.library) {
			continue
		}
		if !slices.ContainsFunc(o.by, func(by string) bool { return strings.HasPrefix(path+"/", strings.TrimSuffix(by, "/")+"/") }) {
			t.Errorf("%s imports %s, which belongs to %v", path, imported, o.by)
		}
	}
}

// isTestSupport: a package called …test holds a real server for tests and is
// linked into no program.
func isTestSupport(path string) bool { return strings.HasSuffix(path, "test") }

func roomOf(path string) string {
	room, _, _ := strings.Cut(path, "/")
	return room
}

func TestGitOnlyProgramsStayLight(t *testing.T) {
	// With text/template, which looks methods up by name, the linker keeps each
	// method of each type.
	heavy := []string{"helm.sh/helm", "k8s.io/client-go", "github.com/tektoncd/", "text/template", "html/template"}
	for _, p := range list(t) {
		name, isStep := strings.CutPrefix(p.path(), "steps/")
		if !isStep || !slices.Contains(gitOnly, name) {
			continue
		}
		for _, dep := range p.Deps {
			if slices.ContainsFunc(heavy, func(h string) bool { return strings.HasPrefix(dep, h) }) {
				t.Errorf("steps/%s links %s", name, dep)
			}
		}
	}
}
