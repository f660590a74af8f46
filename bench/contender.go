package main

// contender is one way to promote an application. Script is run by sh with URL,
// APP and VERSION in its environment, in an empty folder of its own.
type contender struct {
	Name   string
	How    string
	Script string
	// Whole is true for ways that transfer the whole history.
	Whole bool
	// Aside is true for what promotes nothing and leaves the branch alone.
	Aside bool
}

// prelude is what the git programs' users write around them: the edit, which
// gives the same bytes as bump-version, and, where others write at the same
// time, the check that no newer version is there already.
const prelude = `set -e
edit() { sed -i "/^- name: $APP\$/,/version:/s/version: .*/version: $VERSION/" requirements.yaml; }
record() { git commit -q -a -m "chore: promote $APP to version $VERSION"; }
current() { sed -n "/^- name: $APP\$/,/version:/s/.*version: //p" requirements.yaml; }
promote() {
	[ "$(printf '%s\n' "$(current)" "$VERSION" | sort -V | tail -n 1)" != "$(current)" ] || exit 0
	edit
	record
}
again() {
	git rebase --abort 2>/dev/null || true
	git fetch -q origin main
	git reset -q --hard FETCH_HEAD
	promote
}
`

// promoteScript is a promotion as people and pipelines make it: one program, and
// a file that says where the environment is.
const promoteScript = `set -e
printf '%s\n' 'apiVersion: lockstep.dev/v1alpha1' 'kind: Environments' 'environments:' "- {name: bench, repository: \"$URL\", branch: main, namespace: bench, promotion: Auto}" >environments.yaml
promote --application "$APP" --version "$VERSION" --environments environments.yaml --skip-chart-check --timeout 9m >outcomes
`

const stepsScript = `set -e
clone --url "$URL" --output env --verbose=false
bump-version --source env --name "$APP" --version "$VERSION"
commit --source env --timeout 9m
`

const anchor = "git --depth 1"

const kargoClone = `git clone -q --bare "$URL" bare
git -C bare config remote.origin.fetch '+refs/heads/*:refs/remotes/origin/*'
git -C bare worktree add ../env main >/dev/null 2>&1
cd env
`

// single are the contenders of one promotion.
func single() []contender {
	return []contender{
		{Name: "Lockstep", How: "`promote`, without a checkout", Script: promoteScript},
		{Name: anchor, How: "`git clone --depth 1`, edit, commit, push", Script: prelude + `git clone -q --depth 1 "$URL" env
cd env
edit
record
git push -q origin HEAD:main
`},
		{Name: "git clone", How: "`git clone`, edit, commit, push", Whole: true, Script: prelude + `git clone -q "$URL" env
cd env
edit
record
git push -q origin HEAD:main
`},
		{Name: "Kargo's way", How: "bare clone, worktree, edit, commit, `ls-remote`, `pull --rebase`, push, as its git-clone, git-commit and git-push steps call git", Whole: true,
			Script: prelude + kargoClone + `edit
record
git ls-remote --heads --exit-code origin refs/heads/main >/dev/null
git pull -q --rebase origin main
git push -q origin HEAD:main
`},
		{Name: "image-updater's way", How: "`git init`, `fetch --depth 1`, checkout, edit, commit, push, as Argo CD Image Updater calls git", Script: prelude + `git init -q env
cd env
git remote add origin "$URL"
git fetch -q origin main --force --prune --depth 1
git checkout -q --force -B main FETCH_HEAD
edit
record
git push -q origin main
`},
		{Name: "go-git", How: "one Go program: clone of depth 1 and worktree in memory, edit, commit, push", Script: "gogit\n"},
		{Name: "Lockstep's steps", How: "`clone`, `bump-version`, `commit`: three programs one after the other, for pipelines that look at the checkout", Script: stepsScript},
	}
}

// many are the contenders when several write at once. Kargo gives up after ten
// attempts; here it goes on, since its promotion would be tried again. The last
// one promotes nothing: it shows what the host takes for the least that any way
// asks of it, so that what the ways add can be told from what the machine takes.
func many() []contender {
	return []contender{
		{Name: "Lockstep", How: "`promote`", Script: promoteScript},
		{Name: "git loop", How: "`git clone --depth 1`, edit, commit, then push and `pull --rebase` until it is in; a conflict starts over on the new tip", Script: prelude + `git clone -q --depth 1 "$URL" env
cd env
promote
until git push -q origin HEAD:main; do git pull -q --rebase origin main || again; done
`},
		{Name: "Kargo's way", How: "bare clone, worktree, then `ls-remote`, `pull --rebase`, push with a pause of 1 s × 1.5ⁿ, jitter 0.5, at most 30 s", Whole: true,
			Script: prelude + kargoClone + `promote
land() {
	git ls-remote --heads --exit-code origin refs/heads/main >/dev/null
	git pull -q --rebase origin main || again
	git push -q origin HEAD:main
}
attempt=0
until land; do
	sleep "$(awk -v n=$attempt -v seed=$$ 'BEGIN { srand(seed + n); d = 1.5 ^ n; if (d > 30) d = 30; print d * (1 + rand() / 2) }')"
	attempt=$((attempt + 1))
done
`},
		{Name: "one at a time", How: "`git clone --depth 1`, edit, commit, push, all of it under one `flock` that the writers share", Script: prelude + `exec 9>"$LOCK"
flock 9
git clone -q --depth 1 "$URL" env
cd env
promote
git push -q origin HEAD:main
`},
		{Name: "a push aside", How: "no promotion: a commit of its own pushed to a ref of its own, by git; two requests, and nobody is in anybody's way", Aside: true, Script: `git init -q own
cd own
git push -q "$URL" "$(git commit-tree -m own "$(git mktree </dev/null)"):refs/heads/own-$VERSION"
`},
	}
}
