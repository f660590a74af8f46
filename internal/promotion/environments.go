package promotion

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/environment"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/git"
)

// Environments reads environments.yaml from a file of this machine, or from a
// Git repository, where it stands at path of a revision ("": the default
// branch). What is no file and looks like a URL is a repository.
func Environments(ctx context.Context, where, path, revision string, open func(url string) (*git.Remote, error)) (*environment.Environments, error) {
	if info, err := os.Stat(where); err == nil && info.Mode().IsRegular() {
		f, err := os.Open(where)
		if err != nil {
			return nil, fault.Usage("FileNotRead", err, "")
		}
		defer f.Close()
		return environment.Read(where, f)
	} else if err != nil && !strings.Contains(where, ":") {
		return nil, fault.Usage("FileNotRead", err, "Name the file, or the URL of the Git repository that holds it.")
	}
	remote, err := open(where)
	if err != nil {
		return nil, err
	}
	tip, err := remote.Resolve(ctx, revision)
	if err != nil {
		return nil, err
	}
	scratch := git.NewMemory()
	if err := remote.Fetch(ctx, scratch, tip, 1); err != nil {
		return nil, err
	}
	text, err := scratch.Read(tip.Commit(), path)
	if err != nil {
		return nil, fault.Usage("FileNotRead", fmt.Errorf("environments in %s: %w", remote.URL(), err), "Check the path of the file in the repository.")
	}
	return environment.Parse(remote.URL()+" "+path, text)
}
