module github.com/lockstep-cd/lockstep/test/cluster

go 1.26
