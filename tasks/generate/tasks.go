package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/step"
)

// The workspaces that several Tasks have.
var (
	basicAuth    = workspace{"basic-auth", "Git credentials: .git-credentials and .gitconfig, or username and password of a kubernetes.io/basic-auth secret.", true}
	sshDirectory = workspace{"ssh-directory", "SSH key, known_hosts and config, or a kubernetes.io/ssh-auth secret.", true}
	sslCA        = workspace{"ssl-ca-directory", "CA certificates of the Git server.", true}
	signingKey   = workspace{"signing-key", "Key that signs what is written: ssh-privatekey (SSH) or private.asc (OpenPGP), and passphrase where it has one.", true}
	signers      = workspace{"allowed-signers", "Who may sign: allowed_signers, and OpenPGP public keys as *.asc. Bound: a tip that none of them signed is not deployed.", true}
	dockerConfig = workspace{"dockerconfig", "config.json with the registries' credentials.", true}
	source       = workspace{"source", "Working folder of the steps; an emptyDir does.", false}
)

// gitAccess wires the workspaces with credentials to a program that has them.
func gitAccess(more map[string]string) map[string]string {
	all := map[string]string{"basic-auth": "basic-auth", "ssh-directory": "ssh-directory", "ssl-ca-directory": "ssl-ca-directory"}
	maps.Copy(all, more)
	return all
}

// signing is gitAccess for a program that signs.
func signing(more map[string]string) map[string]string {
	all := gitAccess(more)
	all["signing-key"] = "signing-key"
	return all
}

// tasks lists every Task: those of several steps, and each program alone.
func tasks(contracts map[string]step.Contract) []task {
	list := []task{build(), updateEnvironment(), deploy(), conclude()}
	for _, name := range slices.Sorted(maps.Keys(contracts)) {
		list = append(list, alone(contracts[name]))
	}
	return list
}

// alone is the Task of one program, with all that its contract has.
func alone(c step.Contract) task {
	u := use{program: c.Name, workspaces: map[string]string{}}
	t := task{name: c.Name, title: title(c.Name), about: sentence(c.About), tags: "gitops," + c.Name}
	for _, p := range c.Params {
		u.expose = append(u.expose, p.Name)
	}
	for _, w := range c.Workspaces {
		u.workspaces[w.Name] = w.Name
		t.workspaces = append(t.workspaces, workspace{w.Name, w.About, !w.Required})
	}
	for _, r := range c.Results {
		if !isFailure(r.Name) {
			u.results = append(u.results, r.Name)
		}
	}
	t.steps = []use{u}
	return t
}

func title(name string) string {
	words := strings.ReplaceAll(name, "-", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

func sentence(about string) string { return strings.ToUpper(about[:1]) + about[1:] + "." }

const repository = "source/repository"

// build publishes one commit of an application. The tag comes last: a build
// that failed leaves none.
func build() task {
	const version, commit = "$(steps.next-version.results.version)", "$(steps.clone.results.commit)"
	return task{
		name: "build", title: "Build", tags: "gitops,build,image,chart",
		about: "Clones an application, reserves its next version, tests it with its own tools, packages and publishes image and chart, and tags the commit.",
		params: []param{
			{"test-image", required, "Image with the application's own tools. Example: docker.io/library/golang:1.26"},
			{"test-command", required, "Command line for /bin/sh that tests the application and builds what goes into the image, run in the repository's folder. It finds VERSION and COMMIT in its environment. Example: go test ./... && go build -o dist/ ."},
			{"insecure-registries", "", "Registries that are reached over plain HTTP, one host:port per line. Example: registry.local:5000"},
		},
		workspaces: []workspace{source, basicAuth, sshDirectory, sslCA, signingKey, dockerConfig},
		steps: []use{
			{
				// Enough history for next-version to see which commits before this one wait for a number.
				program: "clone", expose: []string{"url", "revision", "depth"}, fallbacks: map[string]string{"depth": "21"},
				with:       map[string]string{"deleteExisting": "true"},
				workspaces: gitAccess(map[string]string{"output": repository}),
				results:    []string{"url", "commit"},
			},
			{
				program: "next-version", expose: []string{"prefix", "bump", "version-file"},
				workspaces: gitAccess(map[string]string{"source": repository}),
				results:    []string{"version", "tag"},
			},
			{
				name: "test", image: "$(params.test-image)",
				// No workingDir: the container runtime would create the folder as root before clone runs.
				command: []string{"/bin/sh", "-c", `cd "$0" && exec /bin/sh -c "$1"`, "$(workspaces.source.path)/repository", "$(params.test-command)"},
				// The image's own home may be read-only or somebody else's.
				env: [][2]string{
					{"HOME", "$(workspaces.source.path)"}, {"TMPDIR", "$(workspaces.source.path)"},
					{"VERSION", version}, {"COMMIT", commit}, {"CI", "true"},
				},
				mounts: []string{"source"},
			},
			{
				program: "package-image",
				exposeAs: map[string]string{
					"base": "image-base", "files": "image-files", "entrypoint": "image-entrypoint", "repository": "image-repository", "user": "image-user",
				},
				with: map[string]string{
					"tag": version, "version": version, "revision": commit, "source-url": "$(steps.clone.results.url)",
					"created": "$(steps.clone.results.committer-date)", "insecure": "$(params.insecure-registries)",
				},
				workspaces: map[string]string{"source": repository, "dockerconfig": "dockerconfig"},
				results:    []string{"IMAGE_URL", "IMAGE_DIGEST"},
			},
			{
				program:  "package-chart",
				exposeAs: map[string]string{"path": "chart-path", "repository": "chart-repository", "image-key": "chart-image-key"},
				with: map[string]string{
					"version": version, "app-version": version, "created": "$(steps.clone.results.committer-date)",
					"image": "$(steps.package-image.results.IMAGE_URL)", "image-digest": "$(steps.package-image.results.IMAGE_DIGEST)",
					"insecure": "$(params.insecure-registries)",
				},
				workspaces: map[string]string{"source": repository, "dockerconfig": "dockerconfig"},
				results:    []string{"chart", "CHART_ARTIFACT_OUTPUTS"},
				resultsAs:  map[string]string{"digest": "chart-digest"},
			},
			{
				program: "tag",
				with: map[string]string{
					"tag": "$(steps.next-version.results.tag)", "message": "release " + version,
				},
				workspaces: signing(map[string]string{"source": repository}),
			},
		},
	}
}

// updateEnvironment is a promotion put together from small steps.
func updateEnvironment() task {
	return task{
		name: "update-environment", title: "Update environment", tags: "gitops,promotion",
		about: "Commits one version of an application into an environment's repository. When others push at the same time, the change is made again on the new tip.",
		params: []param{
			{"environment", required, "Name of the environment, for the commit's trailers. Example: staging"},
			{"application", required, "Name of the application, for the commit's trailers. Example: user-service"},
			{"source", "", "Repository and commit that the version was built from, for the commit's trailers. Example: https://git.example.com/acme/user-service@<40 hex digits>"},
			{"run", "$(context.taskRun.namespace)/$(context.taskRun.name)", "Run that does this, for the commit's trailers: namespace/name"},
		},
		workspaces: []workspace{source, basicAuth, sshDirectory, sslCA, signingKey},
		steps: []use{
			{
				program: "clone", expose: []string{"url"}, exposeAs: map[string]string{"revision": "branch"},
				with:       map[string]string{"deleteExisting": "true"},
				workspaces: gitAccess(map[string]string{"output": repository}),
			},
			{
				program: "bump-version", expose: []string{"path", "name", "alias", "repository", "version", "allow-downgrade"},
				workspaces: map[string]string{"source": repository},
				results:    []string{"previous"},
			},
			{
				program:  "commit",
				expose:   []string{"author-name", "author-email", "changelog"},
				exposeAs: map[string]string{"branch": "branch"},
				with: map[string]string{"trailers": strings.Join([]string{
					"Lockstep-Environment: $(params.environment)", "Lockstep-Application: $(params.application)",
					"Lockstep-Source: $(params.source)", "Lockstep-Run: $(params.run)",
				}, "\n")},
				workspaces: signing(map[string]string{"source": repository}),
				results:    []string{"commit", "changed", "outcome"},
			},
		},
	}
}

// deploy brings a namespace to what the branch's tip says, and makes sure of it.
// The lease is kept for the record, which ends it.
func deploy() task {
	return task{
		name: "deploy", title: "Deploy", tags: "gitops,helm,deployment",
		about: "Applies an environment's chart into its namespace, one deployment at a time and the newest commit first, and verifies that what runs is healthy and what Git says.",
		params: []param{
			{"insecure-registries", "", "Registries that are reached over plain HTTP, one host:port per line. Example: registry.local:5000"},
			{"keep-lease", "20m", "How long the lease outlasts a run that was killed. verify renews it, and record ends it. Example: 20m"},
		},
		workspaces: []workspace{source, basicAuth, sshDirectory, sslCA, signers, dockerConfig},
		steps: []use{
			{
				program: "clone", expose: []string{"url"}, exposeAs: map[string]string{"revision": "branch"},
				with:       map[string]string{"deleteExisting": "true"},
				workspaces: gitAccess(map[string]string{"output": repository}),
			},
			{
				// It reads the tip once more, and so it is the one that looks at the signature.
				program: "helm-apply", expose: []string{"url", "branch", "path", "release", "namespace", "values", "timeout", "run", "verify-signatures"},
				with:       map[string]string{"keep-lease": "$(params.keep-lease)", "insecure": "$(params.insecure-registries)"},
				workspaces: gitAccess(map[string]string{"source": repository, "dockerconfig": "dockerconfig", "allowed-signers": "allowed-signers"}),
				results:    []string{"outcome", "commit", "revision"},
			},
			{
				program: "verify", expose: []string{"release", "namespace", "path", "crash-limit", "skip-tests", "run"}, exposeAs: map[string]string{"timeout": "verify-timeout"},
				with:       map[string]string{"deployment": "$(steps.helm-apply.results.outcome)", "insecure": "$(params.insecure-registries)"},
				workspaces: map[string]string{"source": repository, "dockerconfig": "dockerconfig", "ssl-ca-directory": "ssl-ca-directory"},
				resultsAs:  map[string]string{"outcome": "verification"},
			},
		},
	}
}

// conclude is what follows a deployment, however it ended.
func conclude() task {
	return task{
		name: "conclude", title: "Conclude", tags: "gitops,deployment,promotion",
		about: "Records a deployment, ends its lease and, where asked to, sets a commit status; then promotes what the environment has verified into those that are after it.",
		params: []param{
			{"environment", required, "Name of the environment. Example: staging"},
			{"environments", "", "Where environments.yaml is: the URL of a Git repository. Empty: nothing follows. Example: https://git.example.com/acme/environments"},
			{"insecure-registries", "", "Registries that are reached over plain HTTP, one host:port per line. Example: registry.local:5000"},
		},
		workspaces: []workspace{basicAuth, sshDirectory, sslCA, signingKey, dockerConfig},
		steps: []use{
			{
				program: "record", expose: []string{"url", "environment", "release", "namespace", "run", "status", "commit-status", "forge", "run-url"},
				workspaces: signing(nil), results: []string{"record", "commit-status"},
			},
			{
				program: "promote", expose: []string{"environments", "environments-file", "environments-revision", "run"},
				with:       map[string]string{"from": "$(params.environment)", "insecure": "$(params.insecure-registries)"},
				workspaces: signing(map[string]string{"dockerconfig": "dockerconfig"}), results: []string{"outcomes"},
			},
		},
	}
}

func isFailure(result string) bool { return result == "error-reason" || result == "error-message" }
