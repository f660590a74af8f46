package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/urfave/cli/v2"
	"sigs.k8s.io/yaml"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// outputFlag is that of every command that prints for people or for programs, with
// the formats that it knows besides text and json.
func outputFlag(more ...string) cli.Flag {
	formats := append([]string{"text", "json"}, more...)
	known := strings.Join(formats[:len(formats)-1], ", ") + " or " + formats[len(formats)-1]
	return &cli.StringFlag{
		Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "`FORMAT` of what is printed: " + known,
		Action: func(_ *cli.Context, format string) error {
			if !slices.Contains(formats, format) {
				return fault.Usage("InvalidArguments", fmt.Errorf("--output: %q is not %s", format, known), "")
			}
			return nil
		},
	}
}

func asJSON(c *cli.Context) bool { return c.String("output") == "json" }

func printJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

// table is what is shown to people.
type table struct {
	head []string
	rows [][]string
	bare bool // without the head
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// show prints the table or, for programs, the value that it was made of.
func show(c *cli.Context, t table, value any) error {
	switch format := c.String("output"); format {
	case "json":
		return printJSON(c.App.Writer, value)
	case "yaml":
		text, err := yaml.Marshal(value)
		if err != nil {
			return err
		}
		_, err = c.App.Writer.Write(text)
		return err
	default:
		return t.print(c.App.Writer, format)
	}
}

// print writes the table as text or as Markdown. Columns that are empty in every
// row are left out of text.
func (t table) print(w io.Writer, format string) error {
	if format == "markdown" {
		return t.markdown(w)
	}
	out := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	line := func(cells []string) {
		var kept []string
		for i, cell := range cells {
			if i == 0 || slices.ContainsFunc(t.rows, func(row []string) bool { return row[i] != "" }) {
				kept = append(kept, printable(cell))
			}
		}
		fmt.Fprintln(out, strings.TrimRight(strings.Join(kept, "\t"), "\t"))
	}
	if !t.bare {
		line(t.head)
	}
	for _, row := range t.rows {
		line(row)
	}
	return out.Flush()
}

func (t table) markdown(w io.Writer) error {
	var text strings.Builder
	line := func(cells []string) {
		for _, cell := range cells {
			text.WriteString("| " + strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(printable(cell)) + " ")
		}
		text.WriteString("|\n")
	}
	line(t.head)
	text.WriteString(strings.Repeat("| --- ", len(t.head)) + "|\n")
	for _, row := range t.rows {
		line(row)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// printable takes out what a terminal would act on: whoever can push wrote it.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || unicode.IsGraphic(r) && !unicode.IsSpace(r) {
			return r
		}
		return -1
	}, text)
}
