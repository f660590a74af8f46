package step

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// The command line of a program. Its flags, their environment and their help come
// from the contract; their values are not parsed here. The package flag reads it,
// and not urfave/cli, which is built on that: its help is made from templates, for
// which the linker keeps each method of each type, a quarter of what a program weighs.

// logFormat is an input of every program, and no part of its contract.
var logFormat = input{flag: "log-format", env: "LOG_FORMAT", kind: "string", fallback: "text", about: "Format of the log on stderr: text or json."}

// completing, as the last argument, asks for what may stand before it.
const completing = "--generate-bash-completion"

// subcommand is what a program does besides its work.
type subcommand struct {
	name, about string
	run         func(p *program, args []string) error
}

var subcommands = []subcommand{
	{"contract", "print the parameters, workspaces and results as JSON", (*program).printContract},
	{"version", "print the version of this program", (*program).printVersion},
	{"completion", "print a completion script: completion bash", (*program).printCompletion},
}

// command does what the arguments ask for, and returns the exit code.
func (p *program) command(ctx context.Context) int {
	args := p.args[1:]
	if len(args) > 0 && args[len(args)-1] == completing {
		p.complete(args[:len(args)-1])
		return 0
	}
	set, given := p.flags()
	err := set.Parse(args)
	if errors.Is(err, flag.ErrHelp) || err == nil && set.Arg(0) == "help" {
		p.printHelp()
		return 0
	}
	s := source{flags: given, env: p.env}
	if err != nil {
		return p.fail(ctx, p.invalid(err), s)
	}
	if set.NArg() == 0 {
		return p.perform(ctx, s)
	}
	i := slices.IndexFunc(subcommands, func(c subcommand) bool { return c.name == set.Arg(0) })
	if i < 0 {
		return p.fail(ctx, p.invalid(fmt.Errorf("unexpected argument %q: parameters are given as flags", set.Arg(0))), s)
	}
	if err := subcommands[i].run(p, set.Args()[1:]); err != nil {
		return p.fail(ctx, p.invalid(err), s)
	}
	return 0
}

func (p *program) invalid(err error) error {
	return fault.Usage("InvalidParameters", err, p.layout.contract.Name+" --help lists the parameters and their formats")
}

func (p *program) inputs() []input { return append(slices.Clone(p.layout.inputs), logFormat) }

// flags are the flags, and what they come to when they are parsed: the values of
// each that is set.
func (p *program) flags() (*flag.FlagSet, map[string][]string) {
	set := flag.NewFlagSet(p.layout.contract.Name, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	given := map[string][]string{}
	for _, in := range p.inputs() {
		add := func(value string) error { given[in.flag] = append(given[in.flag], value); return nil }
		if in.kind == "bool" {
			set.BoolFunc(in.flag, "", add)
		} else {
			set.Func(in.flag, "", add)
		}
	}
	return set, given
}

func (p *program) printHelp() {
	name := p.layout.contract.Name
	fmt.Fprintf(p.stdout, "%s: %s\n\nUsage:\n  %[1]s [flags]\n", name, p.layout.contract.About)
	for _, c := range subcommands {
		fmt.Fprintf(p.stdout, "  %s %-12s %s\n", name, c.name, c.about)
	}
	fmt.Fprint(p.stdout, "\nFlags; a list is one that is repeated. Each can also be given as the environment variable named behind it, and a flag stands in front of that:\n")
	for _, in := range p.inputs() {
		fmt.Fprintf(p.stdout, "  --%s %s\n        %s%s [$%s]\n", in.flag, in.kind, strings.TrimSpace(in.about), in.otherwise(), in.env)
	}
}

// otherwise says what an input is when nobody says it.
func (in input) otherwise() string {
	switch {
	case in.checkout:
		return " (default: the checkout around the working folder)"
	case in.required:
		return " (required)"
	case in.fallback != "":
		return " (default: " + in.fallback + ")"
	}
	return ""
}

func (p *program) printContract([]string) error {
	encoder := json.NewEncoder(p.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(p.layout.contract)
}

func (p *program) printVersion([]string) error {
	_, err := fmt.Fprintln(p.stdout, p.layout.contract.Name, Version())
	return err
}

func (p *program) printCompletion(args []string) error {
	if !slices.Equal(args, []string{"bash"}) {
		return fmt.Errorf("completion scripts exist for bash: %s completion bash", p.layout.contract.Name)
	}
	const script = `_%[2]s() {
  local words; words=$("${COMP_WORDS[@]:0:COMP_CWORD}" ${COMP_WORDS[COMP_CWORD]} %[3]s 2>/dev/null)
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F _%[2]s %[1]s
`
	name := p.layout.contract.Name
	_, err := fmt.Fprintf(p.stdout, script, name, strings.ReplaceAll(name, "-", "_"), completing)
	return err
}

// complete prints what may stand in the place of the last word, or behind it; the
// shell chooses from it what begins alike.
func (p *program) complete(words []string) {
	if len(words) > 0 && strings.HasPrefix(words[len(words)-1], "-") {
		set, _ := p.flags()
		set.VisitAll(func(f *flag.Flag) { fmt.Fprintln(p.stdout, "--"+f.Name) })
		return
	}
	for _, c := range subcommands {
		fmt.Fprintln(p.stdout, c.name)
	}
}

// Version is the version of the module that this program was built from: a
// released version, or the commit.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && info.Main.Version == "(devel)" {
			return setting.Value
		}
	}
	return info.Main.Version
}
