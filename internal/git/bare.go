package git

import (
	"os"
	"path/filepath"
)

// Dir is the folder of a remote that is on this machine.
func (r *Remote) Dir() (dir string, ok bool) {
	t := r.keys.target
	return t.path, t.scheme == "file"
}

// CreateBare makes an empty repository without a worktree, whose HEAD is main. One
// that is there stays as it is, and one that is half there is completed.
func CreateBare(dir string) error {
	for _, sub := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o777); err != nil {
			return writable(err, dir)
		}
	}
	for name, text := range map[string]string{
		"config": "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n",
		"HEAD":   "ref: refs/heads/main\n",
	} {
		if err := writeMissing(filepath.Join(dir, name), text); err != nil {
			return writable(err, dir)
		}
	}
	return nil
}
