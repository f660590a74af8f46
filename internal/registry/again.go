package registry

import (
	"context"
	"net/http"
	"time"
)

// again runs what may be done twice once more after its connection broke, or the
// server failed in the middle. What single requests waited for already is not
// waited for again.
func (c *Client) again(ctx context.Context, of string, do func(context.Context) error) error {
	policy := c.http.policy(of)
	policy.Hide = c.clean
	return policy.Do(ctx, mayPass, do)
}

func mayPass(err error) (after time.Duration, again bool) {
	switch code := statusOf(err); code {
	case 0:
		return 0, broken(err)
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return 0, true
	}
	return 0, false
}
