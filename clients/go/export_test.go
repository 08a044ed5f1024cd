package fetchd

import "time"

// AgeAnswers makes the last answer of each endpoint older.
func (c *Client) AgeAnswers(age time.Duration) {
	for _, endpoint := range c.endpoints.all {
		endpoint.mu.Lock()
		endpoint.health.answered = endpoint.health.answered.Add(-age)
		endpoint.mu.Unlock()
	}
}
