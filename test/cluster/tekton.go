package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/lockstep-cd/lockstep/test/cluster/internal/process"
)

// component is a part of Tekton: a module with its manifests, whose images ko builds from the same module.
type component struct {
	name  string
	path  string      // of the module
	leave []string    // paths below its folder config that are not wanted
	edits [][2]string // texts in the manifests, and what stands there instead
	probe string      // an object that its webhook must let pass
}

func (f full) components() []component {
	return []component{
		{
			name: "tekton", path: "github.com/tektoncd/pipeline",
			leave: []string{"resolvers"}, // their image needs git; no pipeline here uses them
			edits: [][2]string{
				// Tekton's own containers keep to PodSecurity "restricted", as ours do.
				{`set-security-context: "false"`, `set-security-context: "true"`},
				{`set-security-context-read-only-root-filesystem: "false"`, `set-security-context-read-only-root-filesystem: "true"`},
				// The image for steps with a script.
				{"cgr.dev/chainguard/busybox@sha256:19f02276bf8dbdd62f069b922f10c65262cc34b710eea26ff928129a736be791", f.images()["busybox"]},
			},
			probe: `{"apiVersion":"tekton.dev/v1","kind":"Task","metadata":{"name":"probe","namespace":"default"},"spec":{"steps":[{"image":"none","command":["none"]}]}}`,
		},
		{
			name: "triggers", path: "github.com/tektoncd/triggers",
			probe: `{"apiVersion":"triggers.tekton.dev/v1beta1","kind":"TriggerBinding","metadata":{"name":"probe","namespace":"default"},"spec":{"params":[{"name":"a","value":"b"}]}}`,
		},
	}
}

// startTekton makes Tekton's images and manifests, applies them, and waits until its webhooks answer.
func (f full) startTekton(ctx context.Context) error {
	for _, c := range f.components() {
		manifest, err := f.resolved(ctx, c)
		if err != nil {
			return err
		}
		if err := f.applyOnce(ctx, c.name, manifest); err != nil {
			return err
		}
	}
	for _, c := range f.components() {
		passes := func(ctx context.Context) error { return f.dryRun(ctx, c) }
		if err := f.table.Await(ctx, startLimit, c.name+"'s webhook", passes, "kubelet", "containerd"); err != nil {
			return errors.Join(err, f.explain(ctx))
		}
	}
	wait, err := f.kubectl(ctx, "--namespace="+pipelineSpace, "wait", "--for=condition=Available", "deployments", "--all", "--timeout=180s")
	if err != nil {
		return err
	}
	if err := f.logged(ctx, "tekton-wait", wait); err != nil {
		return errors.Join(err, f.explain(ctx))
	}
	return nil
}

// resolved returns a component's manifests with every image in the local registry. Compiling the images takes
// minutes, so the result is kept as long as nothing that went in changes and the registry still has them.
func (f full) resolved(ctx context.Context, c component) ([]byte, error) {
	key, err := f.manifestKey(c)
	if err != nil {
		return nil, err
	}
	path := f.path("manifests", c.name+"-"+key+".yaml")
	if text, err := os.ReadFile(path); err == nil && f.hasImages(ctx, text) {
		return text, nil
	}
	var text []byte
	err = f.log.Do("making the images of "+c.name, func() error {
		text, err = f.resolve(ctx, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	return text, writeFile(path, text, 0o644)
}

func (f full) manifestKey(c component) (string, error) {
	module, err := f.programs.module(c.name).Key()
	if err != nil {
		return "", err
	}
	tools, err := f.programs.module("tools").Key()
	if err != nil {
		return "", err
	}
	return digest(module, tools, f.registry().Host, f.images()["static"], fmt.Sprintf("%q", c)), nil
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:])[:12]
}

// hasImages says whether the registry still has every image that the manifests name.
func (f full) hasImages(ctx context.Context, manifests []byte) bool {
	pattern := regexp.MustCompile(regexp.QuoteMeta(f.registry().Host) + `/([a-z0-9/._-]+)@(sha256:[0-9a-f]{64})`)
	for _, m := range pattern.FindAllSubmatch(manifests, -1) {
		if digest, err := f.registry().Digest(ctx, string(m[1]), string(m[2])); err != nil || digest == "" {
			return false
		}
	}
	return true
}

func (f full) resolve(ctx context.Context, c component) ([]byte, error) {
	config, err := os.MkdirTemp("", "manifests-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(config)
	if err := f.copyManifests(ctx, c, config); err != nil {
		return nil, err
	}
	if err := f.compile(ctx, c, config); err != nil {
		return nil, err
	}
	settings := fmt.Sprintf("defaultBaseImage: %s\ndefaultLdflags: [-s, -w]\n", f.images()["static"])
	if err := writeFile(f.path("ko.yaml"), []byte(settings), 0o644); err != nil {
		return nil, err
	}
	ko, err := f.programs.path("ko")
	if err != nil {
		return nil, err
	}
	module := f.programs.module(c.name)
	cmd := process.Command(ctx, ko, "resolve", "--platform=linux/"+runtime.GOARCH, "--sbom=none",
		"--base-import-paths", "--recursive", "--filename="+config)
	cmd.Dir = module.Dir
	// ko refuses a platform together with GOOS or GOARCH, and its own variables would overrule the file.
	inherited := slices.DeleteFunc(module.Environment(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == "GOOS" || name == "GOARCH" || strings.HasPrefix(name, "KO_")
	})
	cmd.Env = append(inherited, "KO_CONFIG_PATH="+f.path("ko.yaml"), "KO_DOCKER_REPO="+f.registry().Host+"/"+c.name)
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := f.logged(ctx, "ko-"+c.name, cmd); err != nil {
		return nil, err
	}
	return replaceAll(out.Bytes(), c.edits)
}

// compile compiles all programs that the manifests name, without linking them, into Go's cache. ko then only links:
// left to itself it compiles several programs at once, and each time what they have in common.
func (f full) compile(ctx context.Context, c component, manifests string) error {
	packages := []string{}
	reference := regexp.MustCompile(`ko://([a-zA-Z0-9./_-]+)`)
	err := filepath.WalkDir(manifests, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range reference.FindAllSubmatch(text, -1) {
			packages = append(packages, string(m[1]))
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(packages)
	module := f.programs.module(c.name)
	// -export asks for compiled packages; -trimpath is what ko passes as well.
	args := append([]string{"list", "-export", "-deps", "-trimpath"}, slices.Compact(packages)...)
	cmd := process.Command(ctx, "go", args...)
	cmd.Dir, cmd.Env = module.Dir, module.Environment()
	return f.logged(ctx, "compile-"+c.name, cmd)
}

// copyManifests copies the wanted files of the module's folder config.
func (f full) copyManifests(ctx context.Context, c component, to string) error {
	source, err := f.programs.source(ctx, c.name, c.path)
	if err != nil {
		return err
	}
	from := filepath.Join(source, "config")
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && slices.Contains(c.leave, relative):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".yaml":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return writeFile(filepath.Join(to, relative), text, 0o644)
	})
}

// replaceAll makes the edits. A text that is not there is an error: another version of Tekton says it differently.
func replaceAll(text []byte, edits [][2]string) ([]byte, error) {
	for _, e := range edits {
		if !bytes.Contains(text, []byte(e[0])) {
			return nil, fmt.Errorf("the manifests do not contain %s", e[0])
		}
		text = bytes.ReplaceAll(text, []byte(e[0]), []byte(e[1]))
	}
	return text, nil
}

// applyOnce applies manifests unless the cluster has exactly these. Objects of a kind stand in the same text as the
// kind's definition, and webhooks take a moment to answer: so it is tried again for a while.
func (f full) applyOnce(ctx context.Context, name string, manifest []byte) error {
	const namespace = "kube-system"
	mark := "lockstep-" + name
	want := digest(string(manifest))
	get, err := f.kubectl(ctx, "--namespace="+namespace, "get", "configmap", mark, "--ignore-not-found", "--output=jsonpath={.data.manifest}")
	if err != nil {
		return err
	}
	if have, err := get.Output(); err == nil && string(have) == want {
		return nil
	}
	applies := func(ctx context.Context) error { return f.apply(ctx, name, manifest) }
	if err := f.table.Await(ctx, 2*time.Minute, "the manifests of "+name, applies, "kube-apiserver"); err != nil {
		return err
	}
	return f.apply(ctx, mark, fmt.Appendf(nil,
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: %s}, data: {manifest: %q}}\n", mark, namespace, want))
}

// dryRun sends an object through the component's webhook. An answer proves more than a Deployment's status, which
// may be left from before a restart.
func (f full) dryRun(ctx context.Context, c component) error {
	cmd, err := f.kubectl(ctx, "create", "--dry-run=server", "--filename=-")
	if err != nil {
		return err
	}
	cmd.Stdin = strings.NewReader(c.probe)
	return f.logged(ctx, "probe-"+c.name, cmd)
}

// explain says what Tekton's pods are waiting for.
func (f full) explain(ctx context.Context) error {
	cmd, err := f.kubectl(ctx, "--namespace="+pipelineSpace, "get", "pods,events", "--sort-by=.metadata.creationTimestamp")
	if err != nil {
		return err
	}
	out, _ := cmd.CombinedOutput()
	return fmt.Errorf("pods and events of %s:\n%s", pipelineSpace, out)
}
