package fetchd

import (
	"context"
	"time"
)

// AgeAnswers makes the last answer of each endpoint older.
func (c *Client) AgeAnswers(age time.Duration) {
	for _, endpoint := range c.endpoints.all {
		endpoint.mu.Lock()
		endpoint.health.answered = endpoint.health.answered.Add(-age)
		endpoint.mu.Unlock()
	}
}

// SetLookup replaces the look-up of names, until the returned function is called.
func SetLookup(lookup func(context.Context, string) ([]string, error)) (reset func()) {
	before := lookupHost
	lookupHost = lookup
	return func() { lookupHost = before }
}
