package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// intermixed puts flags in front of arguments, because cli stops looking for
// flags at the first argument and people write them in any order. Everything
// behind -- stays as it is.
func intermixed(args []string) []string {
	if len(args) < 2 {
		return args
	}
	command, head := commandOf(args)
	if command == nil {
		return args
	}
	var flags, others, rest []string
	tail := args[head:]
	for i := 0; i < len(tail); i++ {
		word := tail[i]
		switch {
		case word == "--":
			rest, i = tail[i:], len(tail)
		case !strings.HasPrefix(word, "-") || word == "-":
			others = append(others, word)
		default:
			flags = append(flags, word)
			if !strings.Contains(word, "=") && takesValue(command, word) && i+1 < len(tail) {
				i++
				flags = append(flags, tail[i])
			}
		}
	}
	if len(others) > 0 && len(rest) == 0 {
		rest = []string{"--"}
	}
	if len(rest) > 0 {
		others = append([]string{"--"}, append(others, rest[1:]...)...)
	}
	return slices.Concat(args[:head], flags, others)
}

// commandOf finds the command that args begin with, and where its own words
// start.
func commandOf(args []string) (*cli.Command, int) {
	commands := application(nil, nil).Commands
	var found *cli.Command
	head := 1
	for head < len(args) {
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(args[head]) })
		if i < 0 {
			break
		}
		found, commands = commands[i], commands[i].Subcommands
		head++
	}
	return found, head
}

func takesValue(c *cli.Command, word string) bool {
	name := strings.TrimLeft(word, "-")
	for _, f := range c.Flags {
		if _, isBool := f.(*cli.BoolFlag); !isBool && slices.Contains(f.Names(), name) {
			return true
		}
	}
	return false
}
