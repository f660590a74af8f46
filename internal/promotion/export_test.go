package promotion

// RequestsOf and NewID let tests leave requests as a writer would; Scope is
// what an id is made for.
var (
	RequestsOf = requestsOf
	NewID      = newID
	Scope      = scope
)

// StandstillPerRequest is what a request adds to the time for which a writer waits
// for another.
const StandstillPerRequest = standstillPerRequest
