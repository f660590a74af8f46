package main

import (
	"path/filepath"

	"github.com/lockstep-cd/lockstep/internal/chart"
	"github.com/lockstep-cd/lockstep/internal/git"
	"github.com/lockstep-cd/lockstep/internal/registry"
)

// access is how the environment's repository is reached.
func (c *config) access() git.Access {
	return git.Access{
		CredentialsPath: c.Creds, BasicAuth: c.BasicAuth, SSHDirectory: c.SSH, CAFile: c.caFile(), SkipTLSVerify: !c.SSLVerify,
		HTTPProxy: c.HTTPProxy, HTTPSProxy: c.HTTPSProxy, NoProxy: c.NoProxy,
	}
}

// charts is how the chart's dependencies are reached.
func (c *config) charts() chart.Options {
	return chart.Options{Cache: c.Cache, Access: registry.Access{
		DockerConfig: registry.FindDockerConfig(c.Docker, c.Creds), Insecure: c.Insecure, CAFile: c.caFile(),
	}}
}

func (c *config) caFile() string {
	if c.SSLCA == "" {
		return ""
	}
	return filepath.Join(c.SSLCA, c.CAFile)
}
