package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/lockstep-cd/lockstep/test/cluster/internal/lockfile"
	"github.com/lockstep-cd/lockstep/test/cluster/internal/pki"
	"github.com/lockstep-cd/lockstep/test/cluster/internal/process"
	"github.com/lockstep-cd/lockstep/test/cluster/internal/progress"
)

// profile is what both clusters have in common: a folder, servers, programs.
type profile struct {
	name     string
	dir      string
	settings settings
	programs programs
	table    process.Table
	log      *progress.Log
}

func newProfile(name string, s settings, log *progress.Log) profile {
	dir := filepath.Join(s.Cache, name)
	return profile{
		name: name, dir: dir, settings: s, log: log,
		programs: newPrograms(s, log),
		table:    process.Table{Run: filepath.Join(dir, "run"), Logs: filepath.Join(dir, "log")},
	}
}

func (p profile) path(parts ...string) string {
	return filepath.Join(append([]string{p.dir}, parts...)...)
}

func (p profile) kubeconfig() string { return p.path("admin.conf") }

// alone does work while no other call changes this profile. The lock stands beside the folder, so that it outlives
// the folder's removal.
func (p profile) alone(ctx context.Context, work func() error) error {
	unlock, err := lockfile.Lock(ctx, p.dir+".lock", func() { p.log.Printf("waiting for another call to finish with %s …", p.name) })
	if err != nil {
		return err
	}
	defer unlock()
	return work()
}

// spec describes a server that is one of our programs, run in the profile's folder.
func (p profile) spec(name, program string, args ...string) (process.Spec, error) {
	path, err := p.programs.path(program)
	return process.Spec{Name: name, Path: path, Args: args, Dir: p.dir, Env: serverEnvironment()}, err
}

// serverEnvironment is the same whoever calls: proxies, a KUBECONFIG or a PATH of the caller have nothing to say to
// the servers, and must not look like a reason to start them again. containerd finds runc and iptables by this PATH.
func serverEnvironment() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + os.Getenv("HOME")}
}

// portLimit is how long a port may take to become free.
const portLimit = 5 * time.Second

// ensure starts a server of ours if it does not run. Its ports must be free then: what listens there would answer in
// its place.
func (p profile) ensure(ctx context.Context, s process.Spec, ports ...int) error {
	if p.table.PID(s.Name) == 0 {
		for _, port := range ports {
			// A server of ours that was killed a moment ago may still be letting go of it.
			free := func(context.Context) error { return portFree(port) }
			if err := p.table.Await(ctx, portLimit, fmt.Sprintf("port %d", port), free); err != nil {
				return fmt.Errorf("start %s: %w", s.Name, err)
			}
		}
	}
	started, err := p.table.Ensure(ctx, s)
	if started {
		p.log.Printf("started %s", s.Name)
	}
	return err
}

func portFree(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d is taken by a process that this program did not start: stop it, or choose another port (README.md, Ports)", port)
	}
	if err != nil {
		return fmt.Errorf("listen on port %d: %w", port, err)
	}
	return l.Close()
}

// stop ends servers in the given order, and then those that only have a record: leftovers of an older version.
func (p profile) stop(ctx context.Context, names []string) error {
	for _, name := range append(names, p.table.Names()...) {
		if err := p.stopOne(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (p profile) stopOne(ctx context.Context, name string) error {
	running := p.table.PID(name) != 0
	if err := p.table.Stop(ctx, name); err != nil {
		return err
	}
	if running {
		p.log.Printf("stopped %s", name)
	}
	return nil
}

// identities issues the certificates of a control plane.
func (p profile) identities(list []pki.Identity) (*pki.Authority, error) {
	authority, err := pki.Open(p.path("pki"))
	if err != nil {
		return nil, err
	}
	if err := authority.EnsureKeyPair("serviceaccounts"); err != nil {
		return nil, err
	}
	for _, id := range list {
		if err := authority.Ensure(id); err != nil {
			return nil, err
		}
	}
	return authority, nil
}
