module github.com/lockstep-cd/lockstep/test/cluster/modules/pause

go 1.26
