package release_test

import (
	"context"

	"github.com/lockstep-cd/lockstep/internal/cluster"
	"github.com/lockstep-cd/lockstep/internal/cluster/clustertest"
)

func connect(ctx context.Context, on *clustertest.Cluster) (*cluster.Client, error) {
	return cluster.Connect(ctx, on.Namespace)
}
