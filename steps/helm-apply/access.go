package main

import (
	"github.com/lockstep-cd/lockstep/internal/chart"
	"github.com/lockstep-cd/lockstep/internal/registry"
)

// charts is how the chart's dependencies are reached. Certificates that are
// trusted for Git are trusted for them as well.
func (c *config) charts() chart.Options {
	return chart.Options{Cache: c.Cache, Access: registry.Access{
		DockerConfig: registry.FindDockerConfig(c.Docker, c.Creds), Insecure: c.Insecure, CAFile: c.CAFile(),
	}}
}
