package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// chart is a plot of curves, as an SVG file that is readable on light and dark
// pages. With Log both axes are logarithmic.
type chart struct {
	Title, X, Y string
	Log         bool
	Curves      []curve
}

type curve struct {
	Name   string
	Points []point
}

type point struct{ X, Y float64 }

const (
	width, height            = 760.0, 420.0
	left, right, top, bottom = 70.0, 190.0, 46.0, 56.0
)

// colours are told apart by people who see few, and by shape of the dashes.
var colours = [...]string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}

type scale struct {
	from, to float64
	at, end  float64
	log      bool
}

func (s scale) place(v float64) float64 {
	from, to := s.from, s.to
	if s.log {
		v, from, to = math.Log(v), math.Log(from), math.Log(to)
	}
	return s.at + (v-from)/(to-from)*(s.end-s.at)
}

// ticks are round values inside the scale.
func (s scale) ticks() []float64 {
	var all []float64
	if s.log {
		for power := math.Pow(10, math.Floor(math.Log10(s.from))); power <= s.to; power *= 10 {
			for _, digit := range []float64{1, 2, 5} {
				if v := power * digit; v >= s.from*0.999 && v <= s.to*1.001 {
					all = append(all, v)
				}
			}
		}
		return all
	}
	step := math.Pow(10, math.Floor(math.Log10((s.to-s.from)/3)))
	for _, factor := range []float64{5, 2} {
		if (s.to-s.from)/(step*factor) >= 4 {
			step *= factor
			break
		}
	}
	for v := math.Ceil(s.from/step) * step; v <= s.to*1.001; v += step {
		all = append(all, v)
	}
	return all
}

func (c chart) scales() (x, y scale) {
	x = scale{math.Inf(1), math.Inf(-1), left, width - right, c.Log}
	y = scale{0, math.Inf(-1), height - bottom, top, c.Log}
	if c.Log {
		y.from = math.Inf(1)
	}
	for _, curve := range c.Curves {
		for _, p := range curve.Points {
			x.from, x.to = min(x.from, p.X), max(x.to, p.X)
			y.to = max(y.to, p.Y)
			if c.Log {
				y.from = min(y.from, p.Y)
			}
		}
	}
	y.to *= 1.08
	if c.Log {
		y.from *= 0.9
	}
	return x, y
}

func (c chart) svg() string {
	var b strings.Builder
	x, y := c.scales()
	open(&b, c.Title)
	for _, v := range y.ticks() {
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`+"\n", left, width-right, y.place(v), y.place(v))
		label(&b, left-8, y.place(v)+4, "end", fmt.Sprintf("%g", v))
	}
	for _, v := range x.ticks() {
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`+"\n", x.place(v), x.place(v), top, height-bottom)
		label(&b, x.place(v), height-bottom+18, "middle", fmt.Sprintf("%g", v))
	}
	label(&b, (left+width-right)/2, height-14, "middle", c.X)
	label(&b, left, top-10, "end", c.Y)
	for i, curve := range c.Curves {
		colour, dash := colours[i%len(colours)], []string{"", "6 3", "2 3"}[i%3]
		var line strings.Builder
		for _, p := range curve.Points {
			fmt.Fprintf(&line, "%.1f,%.1f ", x.place(p.X), y.place(p.Y))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", x.place(p.X), y.place(p.Y), colour)
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2" stroke-dasharray="%s"/>`+"\n", strings.TrimSpace(line.String()), colour, dash)
		at := top + 12 + 22*float64(i)
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s" stroke-width="2" stroke-dasharray="%s"/>`+"\n", width-right+14, width-right+38, at, at, colour, dash)
		label(&b, width-right+44, at+4, "start", curve.Name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// bar is one of a bar chart: a value and, where there is one, its limit.
type bar struct {
	Name         string
	Value, Limit float64
}

// bars draws values as lying bars with their limits as marks.
func bars(title, unit string, all []bar) string {
	var b strings.Builder
	most := 0.0
	for _, one := range all {
		most = max(most, one.Value, one.Limit)
	}
	x := scale{0, most * 1.05, 130, width - 90, false}
	openSized(&b, title, top+24*float64(len(all))+40)
	for i, one := range all {
		y := top + 24*float64(i)
		label(&b, 122, y+12, "end", one.Name)
		fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="16" fill="%s"/>`+"\n", x.at, y, x.place(one.Value)-x.at, colours[0])
		label(&b, max(x.place(one.Value), x.place(one.Limit))+8, y+12, "start", fmt.Sprintf("%.1f", one.Value))
		if one.Limit > 0 {
			fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s" stroke-width="2"/>`+"\n", x.place(one.Limit), x.place(one.Limit), y-2, y+18, colours[1])
		}
	}
	label(&b, 130, top+24*float64(len(all))+24, "start", unit)
	b.WriteString("</svg>\n")
	return b.String()
}

func open(b *strings.Builder, title string) { openSized(b, title, height) }

func openSized(b *strings.Builder, title string, high float64) {
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="%s">
<style>text{font:13px sans-serif;fill:#222}.title{font-weight:bold;font-size:15px}.grid{stroke:#ccc}rect.page{fill:#fff}</style>
<rect class="page" width="%g" height="%g"/>
<text class="title" x="16" y="22">%s</text>
`, width, high, html.EscapeString(title), width, high, html.EscapeString(title))
}

func label(b *strings.Builder, x, y float64, anchor, text string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(text))
}
