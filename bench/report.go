package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// xlReport is the report of a run with --xl.
const xlReport = "RESULTS-XL.md"

// viewsReport has B11, which has nothing in common with the other measurements.
const viewsReport = "RESULTS-VIEWS.md"

// write puts the report and the plots into dir.
func (r *results) write(dir string) error {
	files := map[string]string{
		"RESULTS.md": r.markdown(), "promotion.svg": r.promotionPlot(), "contention.svg": r.contentionPlot(), "weight.svg": r.weightPlot(), "growth.svg": r.growthPlot(),
	}
	if r.Plan.XL {
		files = map[string]string{xlReport: r.markdown()}
	}
	if r.Plan.OnlyViews {
		files = map[string]string{viewsReport: r.markdown()}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// page collects Markdown.
type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *page) row(cells ...any) {
	p.WriteString("|")
	for _, cell := range cells {
		fmt.Fprintf(p, " %v |", cell)
	}
	p.WriteString("\n")
}

func (p *page) head(cells ...any) {
	p.line("")
	p.row(cells...)
	p.WriteString("|" + strings.Repeat(" --- |", len(cells)) + "\n")
}

func (r *results) markdown() string {
	var p page
	p.line("# Results")
	p.line("")
	p.line("Written whole by the program in this folder, after %s of measuring; nothing here is written by hand. [README.md](README.md) says how.", r.Took.Round(time.Second))
	m := r.Machine
	p.head("machine", "")
	p.row("processor", fmt.Sprintf("%d × %s", m.Processors, m.Processor))
	p.row("memory", m.Memory)
	p.row("system", m.System)
	p.row("versions", strings.Join(m.Versions, ", "))
	p.row("load (1, 5, 15 min)", m.LoadBefore+" before, "+m.LoadAfter+" after")
	r.targets(&p)
	if r.Plan.OnlyViews {
		r.viewsTable(&p)
		return p.String()
	}
	r.promotionTables(&p)
	if !r.Plan.XL {
		p.line("\nXL, the repository of 840,000 commits, is not part of this run: [%s](%s) has it, when `go run ./bench --xl` was run; [%s](%s) has B11, of `go run ./bench --views`.", xlReport, xlReport, viewsReport, viewsReport)
		r.contentionTable(&p)
		r.weightTable(&p)
		r.growthTable(&p)
	}
	return p.String()
}

func (r *results) promotionTables(p *page) {
	p.line("\n## B1: one promotion, first process started → last one ended")
	if !r.Plan.XL {
		p.line("\n![median time by round trip](promotion.svg)")
	}
	p.line("")
	p.line("%d warm-ups, then %d runs each in turn (n). Memory is the peak of the largest process; bytes include HTTP headers. A run that left", r.Plan.Warmups, r.Plan.Runs)
	p.line("another tree, or another parent, is counted as wrong and is in no number. × is the ratio of the medians to `%s`.", anchor)
	p.line("")
	for _, c := range single() {
		p.line("- **%s**: %s.", c.Name, c.How)
	}
	if r.Plan.XL {
		p.line("- Whoever transfers all of XL is measured once.")
	}
	for _, result := range r.Promotions {
		f := result.Fixture
		p.line("\n### %s: %s dependencies, %s commits, %s packed; round trip %d ms", f.Name, grouped(f.Dependencies), grouped(f.Commits), megabytes(f.PackBytes), result.RoundTrip.Milliseconds())
		p.head("", "median ms", "p95 ms", "quartiles ms", "×", "CPU ms", "memory MB", "requests", "connections", "KB up", "KB down", "n", "wrong")
		for _, s := range result.Series {
			p.row(promotionCells(s, result.median(anchor))...)
		}
	}
}

func promotionCells(s series, base time.Duration) []any {
	wall := of(s.Trials, func(t trial) time.Duration { return t.Wall })
	if len(wall) == 0 {
		return []any{s.Contender.Name, "–", "–", "–", "–", "–", "–", "–", "–", "–", "–", 0, s.Wrong}
	}
	return []any{
		s.Contender.Name, ms(median(wall)), ms(quantile(wall, 0.95)), ms(quantile(wall, 0.25)) + "–" + ms(quantile(wall, 0.75)),
		ratio(median(wall), base),
		ms(median(of(s.Trials, func(t trial) time.Duration { return t.User + t.System }))),
		fmt.Sprintf("%.1f", float64(median(of(s.Trials, func(t trial) int64 { return t.MaxRSS })))/1024),
		median(of(s.Trials, func(t trial) int64 { return t.Requests })),
		median(of(s.Trials, func(t trial) int64 { return t.Connections })),
		kilobytes(median(of(s.Trials, func(t trial) int64 { return t.Up }))),
		kilobytes(median(of(s.Trials, func(t trial) int64 { return t.Down }))),
		len(wall), s.Wrong,
	}
}

func (r promotionResult) find(contender string) series {
	for _, s := range r.Series {
		if s.Contender.Name == contender {
			return s
		}
	}
	return series{}
}

func (r promotionResult) median(contender string) time.Duration {
	return median(of(r.find(contender).Trials, func(t trial) time.Duration { return t.Wall }))
}

func (r *results) contentionTable(p *page) {
	p.line("\n## B2: many writers on one branch, first process started → last one ended")
	p.line("\n![median time by number of writers](contention.svg)\n")
	p.line("Repository %s, round trip %d ms. Writers are processes of their own with their own HOME, TMPDIR and, as root, mount and IPC namespace; from ten", r.Plan.CrowdsOn.Name, r.Plan.CrowdDelay.Milliseconds())
	p.line("on, every tenth promotes the first one's application. A run counts when the branch ends with every application at the highest version")
	p.line("promoted, in a history without merges. In the last series every tenth writer is killed at a random moment and started again.")
	p.line("")
	for _, c := range many() {
		p.line("- **%s**: %s.", c.Name, c.How)
	}
	p.head("writers", "", "median s", "slowest s", "pushes tried", "branch moved", "requests", "MB down", "n", "wrong")
	for _, group := range r.Contention {
		for _, s := range group {
			p.row(contentionCells(s)...)
		}
	}
}

func contentionCells(s contentionSeries) []any {
	name := s.Contender.Name
	if s.Killed {
		name += ", 10 % killed"
	}
	wall := of(s.Rushes, func(r rush) time.Duration { return r.Wall })
	if len(wall) == 0 {
		return []any{s.Writers, name, "–", "–", "–", "–", "–", "–", 0, s.Wrong}
	}
	return []any{
		s.Writers, name, seconds(median(wall)), seconds(quantile(wall, 1)),
		median(of(s.Rushes, func(r rush) int64 { return r.Pushes })),
		median(of(s.Rushes, func(r rush) int64 { return r.Updates })),
		median(of(s.Rushes, func(r rush) int64 { return r.Requests })),
		fmt.Sprintf("%.1f", float64(median(of(s.Rushes, func(r rush) int64 { return r.Down })))/1e6),
		len(wall), s.Wrong,
	}
}

func (r *results) weightTable(p *page) {
	p.line("\n## B8: weight")
	p.line("\n![compressed size](weight.svg)\n")
	p.line("Programs for %s, built as `ko.yaml` says. Compressed: one image layer as ko makes it, without the base. Start: `<program> version`, from", "linux/amd64")
	p.line("fork to exit, %d runs in turn; memory is its peak. `git` is the installed one: git, git-remote-http and the shared libraries of both, without shell, Perl and", r.Plan.Runs)
	p.line("templates. Published sizes of alpine/git, alpine/helm and bitnami/kubectl are not shown: no citable source of today's sizes was at hand.")
	p.head("program", "kind", "binary MB", "compressed MB", "start ms", "p95 ms", "CPU ms", "memory MB")
	for _, w := range r.Weights {
		start := of(w.Starts, func(u usage) time.Duration { return u.Wall })
		p.row(w.Name, w.Kind, megabytes(w.Binary), megabytes(w.Compressed), ms1(median(start)), ms1(quantile(start, 0.95)),
			ms1(median(of(w.Starts, func(u usage) time.Duration { return u.User + u.System }))), rss(w.Starts))
	}
	p.line("\nAt work, in a promotion on %s without delay:", r.Plan.CrowdsOn.Name)
	p.head("program", "median ms", "p95 ms", "CPU ms", "memory MB", "n")
	for _, w := range r.Works {
		wall := of(w.Used, func(u usage) time.Duration { return u.Wall })
		p.row(w.Name, ms1(median(wall)), ms1(quantile(wall, 0.95)), ms1(median(of(w.Used, func(u usage) time.Duration { return u.User + u.System }))), rss(w.Used), len(wall))
	}
}

func rss(all []usage) string {
	return fmt.Sprintf("%.1f", float64(median(of(all, func(u usage) int64 { return u.MaxRSS })))/1024)
}

func ms(d time.Duration) string      { return fmt.Sprintf("%.0f", milliseconds(d)) }
func ms1(d time.Duration) string     { return fmt.Sprintf("%.1f", milliseconds(d)) }
func seconds(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()) }
func megabytes(n int64) string       { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
func kilobytes(n int64) string       { return fmt.Sprintf("%.0f", float64(n)/1e3) }

func ratio(a, b time.Duration) string {
	if b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", float64(a)/float64(b))
}

// grouped writes 5000 as 5,000.
func grouped(n int) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
