package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/catalog"
	"github.com/lockstep-cd/lockstep/internal/edit"
	"github.com/lockstep-cd/lockstep/internal/fault"
	"github.com/lockstep-cd/lockstep/internal/forge"
)

func createCommand() *cli.Command {
	return group("create", "make a new environment", &cli.Command{
		Name:      "environment",
		Aliases:   []string{"env"},
		Usage:     "make an environment: its repository, and its entry in environments.yaml",
		UsageText: "lockstep create environment NAME [--from ENVIRONMENT | --template URL] [--promotion STRATEGY] …",
		Description: "Takes Git rights alone. The repository is made on its forge, or as a bare repository where it is a path, and gets a chart: a copy of another environment's, a template's, or one without dependencies. " +
			"One that has a chart already is taken as it is. Then one commit brings the entry into environments.yaml; where that is a file of this machine, commit it yourself. " +
			"Namespaces, rights, webhook and the first deployment are made by lockstep reconcile, which runs in the cluster when that commit arrives. What is there stays: run it again when it was interrupted.",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "`ENVIRONMENT` whose state it begins with, and whose delivery it takes where none is given"},
			&cli.StringFlag{Name: "template", Usage: "`URL` of a repository that it begins with"},
			&cli.StringFlag{Name: "repository", Aliases: []string{"git-url"}, Usage: "`URL` of its repository; without it, environment-NAME beside the others"},
			&cli.StringFlag{Name: "path", Usage: "`FOLDER` of Chart.yaml in the repository"},
			&cli.BoolFlag{Name: "public", Usage: "make a repository that everybody can read"},
			&cli.BoolFlag{Name: "protect", Usage: "let nobody rewrite or delete the branch"},
		}, ruleFlags(), forgeFlags(), commitFlags()),
		Action: createEnvironment, OnUsageError: usageError,
	})
}

func editCommand() *cli.Command {
	return group("edit", "change an environment or an application", editApplicationCommand(), &cli.Command{
		Name:        "environment",
		Aliases:     []string{"env"},
		Usage:       "change an environment's rules in environments.yaml",
		UsageText:   "lockstep edit environment NAME --promotion STRATEGY …",
		Description: "One commit changes what is given, and nothing else. An empty text takes a key out.",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "repository", Aliases: []string{"git-url"}, Usage: "`URL` of its repository"},
			&cli.StringFlag{Name: "path", Usage: "`FOLDER` of Chart.yaml in the repository"},
		}, ruleFlags(), commitFlags()),
		Action: editEnvironment, OnUsageError: usageError,
	})
}

func deleteCommand() *cli.Command {
	return group("delete", "take an environment or an application away", deleteApplicationCommand(), &cli.Command{
		Name:      "environment",
		Aliases:   []string{"env"},
		Usage:     "take an environment out of environments.yaml, and thereby out of the cluster",
		UsageText: "lockstep delete environment NAME [--force] [--delete-repository]",
		Description: "One commit takes the entry out; lockstep reconcile, which runs in the cluster when it arrives, removes webhook, rights and namespaces, with everything in them. " +
			"Refused while something is deployed, unless --force. The repository stays, unless --delete-repository.",
		Flags: slices.Concat([]cli.Flag{
			&cli.BoolFlag{Name: "force", Usage: "also while something is deployed"},
			&cli.BoolFlag{Name: "delete-repository", Usage: "delete its repository as well, with all of its history"},
		}, forgeFlags(), commitFlags()),
		Action: deleteEnvironment, OnUsageError: usageError,
	})
}

// ruleFlags are the keys of an entry.
func ruleFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "promotion", Aliases: []string{"p"}, Usage: "`STRATEGY`: Auto, Manual or Never"},
		&cli.StringFlag{Name: "delivery", Usage: "`WAY` that versions come: commit or pull-request"},
		&cli.StringSliceFlag{Name: "after", Usage: "`NAME` of an environment that must have verified a version before; may be given several times"},
		&cli.StringFlag{Name: "soak", Usage: "`TIME` that those must have had it, such as 2h"},
		&cli.BoolFlag{Name: "frozen", Usage: "let nothing in but rollbacks"},
		&cli.StringFlag{Name: "rollback", Usage: "`WHO` brings back what was verified when a deployment fails: Auto, or Manual for somebody"},
		&cli.StringFlag{Name: "namespace", Aliases: []string{"s"}, Usage: "`NAME` of the namespace of its release"},
		&cli.StringFlag{Name: "branch", Usage: "`BRANCH` that is deployed; without it, the repository's default branch"},
	}
}

func forgeFlags() []cli.Flag {
	return []cli.Flag{&cli.StringFlag{Name: "forge", Usage: "`KIND` of the Git host: github, gitlab, gitea, bitbucket or bitbucket-server; without it, known by its name or asked of it"}}
}

// environmentKeys are the keys of an entry that flags of the same name set.
var environmentKeys = []string{"repository", "branch", "path", "namespace", "promotion", "delivery", "after", "soak", "frozen", "rollback"}

// pairsOf are the keys that flags set. An empty text takes a key out.
func pairsOf(c *cli.Context, keys []string) []edit.Pair {
	var pairs []edit.Pair
	for _, key := range keys {
		flag := flagOf(key)
		if !c.IsSet(flag) {
			continue
		}
		pair := edit.Pair{Key: key}
		switch value := c.Value(flag).(type) {
		case cli.StringSlice:
			if texts := value.Value(); !slices.Equal(texts, []string{""}) {
				pair.Value = texts
			}
		case bool:
			pair.Value = value
		case string:
			if value != "" {
				pair.Value = value
			}
		}
		pairs = append(pairs, pair)
	}
	return pairs
}

// flagOf is the flag that sets a key: --test-image sets testImage.
func flagOf(key string) string {
	var flag strings.Builder
	for _, r := range key {
		if unicode.IsUpper(r) {
			flag.WriteByte('-')
		}
		flag.WriteRune(unicode.ToLower(r))
	}
	return flag.String()
}

// cataloging is what these commands begin with.
type cataloging struct {
	catalog catalog.Catalog
	name    string
	where   string // environments.yaml is, without credentials
}

func catalogOf(c *cli.Context) (cataloging, error) {
	if c.NArg() != 1 || c.Args().First() == "" {
		return cataloging{}, fault.Usage("InvalidArguments", fmt.Errorf("%s takes one NAME, not %d", strings.TrimPrefix(c.Command.HelpName, c.App.Name+" "), c.NArg()), c.Command.UsageText)
	}
	key, err := signingKey(c)
	if err != nil {
		return cataloging{}, err
	}
	by, err := author(c.Context, c)
	if err != nil {
		return cataloging{}, err
	}
	a := cataloging{catalog: catalog.Catalog{
		Where: c.String("environments"), Path: defaultEnvironments, Open: opener(c), Author: by, Committer: committer(), Key: key,
		Patience: c.Duration("timeout"), DryRun: c.Bool("dry-run"),
	}, name: c.Args().First()}
	a.where, err = a.catalog.Place()
	return a, err
}

// done is a line of what came of it.
type done struct {
	Environment string `json:"environment,omitempty"`
	Application string `json:"application,omitempty"`
	What        string `json:"what"`
	Outcome     string `json:"outcome"`
	Where       string `json:"where,omitempty"`
	Commit      string `json:"commit,omitempty"`
	DryRun      bool   `json:"dryRun,omitempty"`
	diff        string
}

func printDone(c *cli.Context, lines []done) error {
	t := table{head: []string{"ENVIRONMENT", "WHAT", "OUTCOME", "COMMIT", "WHERE"}}
	if lines[0].Application != "" {
		t.head[0] = "APPLICATION"
	}
	for i, l := range lines {
		lines[i].DryRun = c.Bool("dry-run")
		if lines[i].DryRun && l.Outcome != "unchanged" {
			l.Outcome += " (dry run)"
		}
		t.add(cmp.Or(l.Environment, l.Application), l.What, l.Outcome, l.Commit, l.Where)
	}
	if err := show(c, t, lines); err != nil || asJSON(c) {
		return err
	}
	for _, l := range lines {
		if l.diff == "" {
			continue
		}
		at := l.Where
		if l.Commit != "" {
			at += " at " + l.Commit
		}
		if _, err := fmt.Fprintf(c.App.Writer, "\n# %s\n%s", at, l.diff); err != nil {
			return err
		}
	}
	return nil
}

func (a cataloging) entryLine(word string, changed catalog.Changed) done {
	if !changed.Done {
		word = "unchanged"
	}
	return done{Environment: a.name, What: "entry", Outcome: word, Where: a.where, Commit: changed.Commit.Short(), diff: changed.Diff}
}

func createEnvironment(c *cli.Context) error {
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	a, err := catalogOf(c)
	if err != nil {
		return err
	}
	made, err := a.catalog.Create(ctx, catalog.Request{
		Name: a.name, From: c.String("from"), Template: c.String("template"), Keys: pairsOf(c, environmentKeys),
		Hosting: catalog.Hosting{Kind: forge.Kind(c.String("forge")), Public: c.Bool("public"), Protect: c.Bool("protect")},
	})
	if err != nil {
		return err
	}
	return printDone(c, append(repositoryLines(made), a.entryLine("added", made.Entry)))
}

func repositoryLines(made catalog.Created) []done {
	line := func(what, word string, changed bool) done {
		if !changed {
			word = "unchanged"
		}
		return done{Environment: made.Environment.Name, What: what, Outcome: word, Where: made.Environment.Repository, Commit: made.Repository.Commit.Short()}
	}
	filled := "committed"
	if made.From != "" {
		filled = "copied from " + made.From
	}
	lines := []done{line("repository", "created", made.Repository.Created), line("chart", filled, made.Repository.Filled)}
	if made.Repository.Protected {
		lines = append(lines, line("branch", "protected", true))
	}
	return lines
}

func editEnvironment(c *cli.Context) error {
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	a, err := catalogOf(c)
	if err != nil {
		return err
	}
	pairs := pairsOf(c, environmentKeys)
	if len(pairs) == 0 {
		return fault.Usage("InvalidArguments", errors.New("what is to be changed?"), "lockstep edit environment --help lists the keys; windows and recordKey are edited by hand.")
	}
	changed, err := a.catalog.Set(ctx, a.name, pairs)
	if err != nil {
		return err
	}
	return printDone(c, []done{a.entryLine("changed", changed)})
}

func deleteEnvironment(c *cli.Context) error {
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	a, err := catalogOf(c)
	if err != nil {
		return err
	}
	gone, err := a.catalog.Delete(ctx, a.name, c.Bool("force"), c.Bool("delete-repository"), forge.Kind(c.String("forge")))
	var lines []done
	if gone.Repository != "" {
		lines = append(lines, done{Environment: a.name, What: "repository", Outcome: "deleted", Where: gone.Repository})
	}
	if err == nil {
		lines = append(lines, a.entryLine("removed", gone.Entry))
	}
	if len(lines) == 0 {
		return err
	}
	return errors.Join(err, printDone(c, lines))
}
