package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// trial is one promotion by one contender: what it took, and what passed the
// link.
type trial struct {
	usage
	Requests, Connections int64
	Up, Down              int64
}

// series are the trials of one contender under one condition. Wrong counts the
// runs that failed or left something else; they are in no number.
type series struct {
	Contender contender
	Trials    []trial
	Wrong     int
}

// condition is what B1 varies.
type condition struct {
	Fixture   fixture
	RoundTrip time.Duration
}

type promotionResult struct {
	condition
	Series []series
}

// The versions that are promoted to; they are higher than any in a fixture.
const promotedVersion = "2.3.119"

// promotions measures B1 under one condition, the contenders in turn.
func (l *lab) promotions(ctx context.Context, c condition, contenders []contender, warmups, runs int) (promotionResult, error) {
	result := promotionResult{condition: c, Series: make([]series, len(contenders))}
	app := application(c.Fixture.Dependencies / 2)
	want, err := l.treeAfter(ctx, c.Fixture, map[string]string{app: promotedVersion})
	if err != nil {
		return result, err
	}
	l.link.setRoundTrip(c.RoundTrip)
	for i := range warmups + runs {
		for at, contender := range contenders {
			result.Series[at].Contender = contender
			if l.rare(c.Fixture, contender) && i != warmups {
				continue
			}
			measured, err := l.promote(ctx, c.Fixture, contender, app, want)
			if ctx.Err() != nil {
				return result, ctx.Err()
			}
			switch {
			case err != nil:
				result.Series[at].Wrong++
				slog.Warn("does not count", "contender", contender.Name, "error", brief(err))
			case i >= warmups:
				result.Series[at].Trials = append(result.Series[at].Trials, measured)
			}
		}
	}
	return result, nil
}

// rare is true where one run has to do: a clone of the whole of XL takes
// minutes.
func (l *lab) rare(f fixture, c contender) bool { return c.Whole && f.Commits > 100_000 }

// promote runs one contender on a fresh copy of the fixture and checks what
// it left.
func (l *lab) promote(ctx context.Context, f fixture, c contender, app, want string) (trial, error) {
	p, err := l.newPlace(f)
	if err != nil {
		return trial{}, err
	}
	defer l.clear(p)
	dir, env, err := l.folder(p, "writer")
	if err != nil {
		return trial{}, err
	}
	before := l.passed()
	used, err := l.measure(ctx, dir, append(env, "APP="+app, "VERSION="+promotedVersion), "sh", "-c", c.Script)
	if err != nil {
		return trial{}, err
	}
	after := l.passed()
	return trial{
		usage: used, Requests: after.Requests - before.Requests, Connections: after.Connections - before.Connections,
		Up: after.Up - before.Up, Down: after.Down - before.Down,
	}, checkOne(ctx, p.repository, f.Tip, want)
}

// passed is what went through the link so far.
func (l *lab) passed() trial {
	return trial{Requests: l.host.requests.Load(), Connections: l.link.connections.Load(), Up: l.link.up.Load(), Down: l.link.down.Load()}
}

// checkOne wants exactly one commit on top of tip, with the tree want.
func checkOne(ctx context.Context, repository, tip, want string) error {
	got, err := git(ctx, repository, "rev-parse", "main^{tree}", "main^@")
	if err != nil {
		return err
	}
	if expected := want + "\n" + tip; got != expected {
		return fmt.Errorf("tree and parents are\n%s\nwant\n%s", got, expected)
	}
	return nil
}
