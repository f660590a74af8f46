package git

// notesFolder is the folder below GitDir in which programs keep notes about the
// files of a checkout, such as the edits that are to be committed.
const notesFolder = "lockstep"

// GitDir is the folder that holds the checkout's HEAD and index, and where
// programs may keep notes of their own in the folder lockstep; "" in memory.
// Clone deletes that folder: what it said was about the files before.
func (r *Repository) GitDir() string { return r.gitDir }
