package step

import (
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// command is the command line of the program. Its flags, their environment and
// their help come from the contract; their values are not parsed here.
func (p *program) command() *cli.App {
	name := p.layout.contract.Name
	return &cli.App{
		Name:                      name,
		HelpName:                  name,
		Usage:                     p.layout.contract.About,
		UsageText:                 name + " [flags]\n" + name + " contract | version | completion bash",
		Description:               "Each flag can also be given as the environment variable named behind it; a flag stands in front of it.",
		Flags:                     append(p.flags(), &cli.StringFlag{Name: "log-format", Value: "text", EnvVars: []string{"LOG_FORMAT"}, Usage: "`FORMAT` of the log on stderr: text or json"}),
		Commands:                  p.subcommands(),
		Action:                    p.action,
		EnableBashCompletion:      true,
		DisableSliceFlagSeparator: true,
		HideVersion:               true, // --version is a parameter's name here
		Writer:                    p.stdout,
		ErrWriter:                 p.stderr,
		OnUsageError:              func(_ *cli.Context, err error, _ bool) error { return err },
		ExitErrHandler:            func(*cli.Context, error) {}, // only main exits
	}
}

func (p *program) action(c *cli.Context) error {
	s := source{flags: c, env: p.env}
	if c.Args().Present() {
		err := fmt.Errorf("unexpected argument %q: parameters are given as flags", c.Args().First())
		return &reported{p.fail(c.Context, fault.Usage("InvalidParameters", err, p.layout.contract.Name+" --help lists them"), s)}
	}
	return p.perform(c.Context, s, c.String("log-format"))
}

func (p *program) flags() []cli.Flag {
	var flags []cli.Flag
	for _, in := range p.layout.inputs {
		usage := strings.TrimSpace(in.about)
		if in.required {
			usage += " (required)"
		}
		switch in.kind {
		case "bool":
			flags = append(flags, &cli.BoolFlag{Name: in.flag, Usage: usage + " [$" + in.env + "]", DefaultText: in.fallback})
		case "list":
			flags = append(flags, &cli.StringSliceFlag{Name: in.flag, Usage: usage + " [$" + in.env + "]", DefaultText: in.fallback})
		default:
			flags = append(flags, &cli.StringFlag{Name: in.flag, Usage: usage + " [$" + in.env + "]", DefaultText: in.fallback})
		}
	}
	return flags
}

func (p *program) subcommands() []*cli.Command {
	return []*cli.Command{
		{Name: "contract", Usage: "print the parameters, workspaces and results as JSON", Action: func(c *cli.Context) error {
			encoder := json.NewEncoder(c.App.Writer)
			encoder.SetIndent("", "  ")
			return encoder.Encode(p.layout.contract)
		}},
		{Name: "version", Usage: "print the version of this program", Action: func(c *cli.Context) error {
			_, err := fmt.Fprintln(c.App.Writer, p.layout.contract.Name, Version())
			return err
		}},
		{Name: "completion", Usage: "print a completion script: completion bash", ArgsUsage: "bash", Action: p.completion},
	}
}

func (p *program) completion(c *cli.Context) error {
	if c.Args().First() != "bash" || c.Args().Len() != 1 {
		return fmt.Errorf("completion scripts exist for bash: %s completion bash", p.layout.contract.Name)
	}
	const script = `_%[2]s() {
  local words; words=$("${COMP_WORDS[@]:0:COMP_CWORD}" ${COMP_WORDS[COMP_CWORD]} --generate-bash-completion 2>/dev/null)
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F _%[2]s %[1]s
`
	name := p.layout.contract.Name
	_, err := fmt.Fprintf(c.App.Writer, script, name, strings.ReplaceAll(name, "-", "_"))
	return err
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
