package git

// GitDir is the folder that holds the checkout's HEAD and index, and where
// programs may keep notes of their own; "" in memory.
func (r *Repository) GitDir() string { return r.gitDir }
