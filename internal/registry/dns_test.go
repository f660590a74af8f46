package registry

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/lockstep-cd/lockstep/internal/fault"
)

// TestAHostWithoutAName is told as such, and one whose name server is silent as
// out of reach.
func TestAHostWithoutAName(t *testing.T) {
	c := &Client{keys: &keychain{}}
	for reason, cause := range map[string]*net.DNSError{
		"RegistryHostUnknown": {Err: "no such host", Name: "registry.invalid", IsNotFound: true},
		"RegistryUnavailable": {Err: "i/o timeout", Name: "registry.invalid", IsTimeout: true},
	} {
		err := &url.Error{Op: "Get", URL: "https://registry.invalid/v2/", Err: &net.OpError{Op: "dial", Net: "tcp", Err: cause}}
		f := fault.Of(c.explain(fmt.Errorf("ping: %w", err), "asked.example.com", "look up the chart"))
		if f.Kind != fault.KindRetryable || f.Reason != reason || !strings.Contains(f.Hint, "registry.invalid") {
			t.Errorf("%s: %v, hint: %s", f.Reason, f.Err, f.Hint)
		}
	}
}
