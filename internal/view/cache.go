package view

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/lockstep-cd/lockstep/internal/environment"
)

// Cache is a folder that keeps what was read, one file for each environment. "":
// nothing is kept. What is in it counts only as long as the refs that it was read
// from have not moved.
type Cache string

// UserCache is a folder of the user's; no Cache where there is none.
func UserCache() Cache {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return Cache(filepath.Join(dir, "lockstep", "views"))
}

// format changes whenever what is kept means something else.
const format = 3

// maxKept bounds what is read of a file, in bytes.
const maxKept = 64 << 20

// kept is the content of a file.
type kept struct {
	Format int  `json:"format"`
	Seen   seen `json:"seen"`
}

// file has a name that says all of an environment's rules: with another recordKey,
// other records count.
func (c Cache) file(env environment.Environment) (string, error) {
	text, err := json.Marshal(env)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return filepath.Join(string(c), hex.EncodeToString(sum[:16])+".json"), nil
}

// get is what was kept; what cannot be read was not.
func (c Cache) get(env environment.Environment) (seen, bool) {
	if c == "" {
		return seen{}, false
	}
	name, err := c.file(env)
	if err != nil {
		return seen{}, false
	}
	f, err := os.Open(name)
	if err != nil {
		return seen{}, false
	}
	defer f.Close()
	var k kept
	if err := json.NewDecoder(io.LimitReader(f, maxKept)).Decode(&k); err != nil || k.Format != format {
		return seen{}, false
	}
	return k.Seen, true
}

// put keeps something, whole or not at all. It is only a matter of time: that it
// cannot be kept is no failure.
func (c Cache) put(ctx context.Context, env environment.Environment, s seen) {
	if c == "" {
		return
	}
	if err := c.write(env, s); err != nil {
		slog.DebugContext(ctx, "nothing is kept", "environment", env.Name, "error", err)
	}
}

func (c Cache) write(env environment.Environment, s seen) error {
	name, err := c.file(env)
	if err != nil {
		return err
	}
	text, err := json.Marshal(kept{format, s})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(string(c), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(string(c), "new-")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), name)
}
