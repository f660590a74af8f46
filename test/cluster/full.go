package main

import (
	"context"
	"errors"

	"github.com/lockstep-cd/lockstep/test/cluster/internal/progress"
)

type full struct{ profile }

func newFull(s settings, log *progress.Log) full { return full{newProfile("full", s, log)} }

func (f full) Build(ctx context.Context) error            { return errors.ErrUnsupported }
func (f full) BuildTools(ctx context.Context) error       { return f.programs.build(ctx, "kubectl", "ko", "crane") }
func (f full) Up(ctx context.Context, part string) error  { return errors.ErrUnsupported }
func (f full) Down(ctx context.Context) error             { return f.alone(ctx, func() error { return f.stop(ctx, nil) }) }
func (f full) Clean(ctx context.Context) error            { return errors.ErrUnsupported }
func (f full) Status() (status, error)                    { return status{Profile: "full"}, nil }
