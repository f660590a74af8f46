package promotion

// What tests put into a repository in place of a writer that died.
var (
	RequestsOf = requestsOf
	NewID      = newID
)
