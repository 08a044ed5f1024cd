package fetchd

import (
	"math/rand/v2"
	"time"
)

// health tells whether an endpoint may get requests.
//
// An endpoint that has never answered is probed first, with a batch without
// requests. An endpoint that fails is ejected: it gets no requests for 0.2 s,
// doubled with each further failure up to 5 s. Then it is probed, and admitted
// again if it answers.
type health struct {
	state healthState
	// until is when an ejected endpoint may be probed.
	until     time.Time
	isProbing bool
	// failures counts the failures since the last result.
	failures int
	// answered is when the endpoint last sent a message.
	answered time.Time
	// last is the failure since which the endpoint is ejected, and failedAt when
	// that was.
	last     *failure
	failedAt time.Time
}

type healthState int

const (
	// untested: the endpoint has not answered yet.
	untested healthState = iota
	admitted
	ejected
)

const (
	minBackoff = 200 * time.Millisecond
	maxBackoff = 5 * time.Second
	// maxRetryAfter limits the wait for a full endpoint, before jitter.
	maxRetryAfter = time.Minute
	// freshness is how long an answer shows that the endpoint is reachable, for
	// requests that must not be sent twice.
	freshness = time.Second
)

// isUsable returns true if the endpoint may get requests. If one of them must
// not be sent twice, isFresh is true, and the endpoint must have answered
// recently.
func (h *health) isUsable(now time.Time, isFresh bool) bool {
	return h.state == admitted && (!isFresh || now.Sub(h.answered) <= freshness)
}

// startProbe returns true if the endpoint must be probed now, and records that
// it is. With isFresh, an admitted endpoint that has not answered recently is
// probed as well.
func (h *health) startProbe(now time.Time, isFresh bool) bool {
	isDue := false
	switch h.state {
	case untested:
		isDue = true
	case ejected:
		isDue = !now.Before(h.until)
	case admitted:
		isDue = isFresh && !h.isUsable(now, true)
	}
	if h.isProbing || !isDue {
		return false
	}
	h.isProbing = true
	return true
}

// probeDue returns when an ejected endpoint is to be probed.
func (h *health) probeDue() (time.Time, bool) {
	return h.until, h.state == ejected && !h.isProbing
}

// refusal returns the last failure if it says that the endpoint is not a service
// that accepts this client, until another probe is due.
func (h *health) refusal(now time.Time) *failure {
	if h.state != ejected || h.last.disposition != foreign || h.isProbing || !now.Before(h.until) {
		return nil
	}
	return h.last
}

// endProbe records how a probe ended. An endpoint that refuses the probe is
// admitted: the call that follows is refused as well, and tells its requests.
func (h *health) endProbe(now time.Time, failed *failure) {
	h.isProbing = false
	if failed == nil || failed.disposition == refused {
		h.state = admitted
		h.answered = now
		return
	}
	h.eject(now, failed)
}

// recordAnswer records that a message has arrived.
func (h *health) recordAnswer(now time.Time) {
	h.answered = now
}

// recordResult records that a request has ended.
func (h *health) recordResult() {
	h.failures = 0
}

// recordFailure records a failed call. If the endpoint is ejected already, the
// failure is most likely a late result of the same problem and does not count.
func (h *health) recordFailure(now time.Time, failed *failure) {
	if h.state == ejected || failed.disposition == final || failed.disposition == refused {
		return
	}
	h.eject(now, failed)
}

func (h *health) eject(now time.Time, failed *failure) {
	backoff := min(minBackoff<<min(h.failures, 10), maxBackoff)
	wait := backoff
	if failed.isFull {
		wait = min(max(failed.retryAfter, backoff/2), maxRetryAfter)
	}
	h.failures++
	h.state = ejected
	h.last, h.failedAt = failed, now
	// Without jitter, all clients would come back at the same time.
	h.until = now.Add(wait + rand.N(wait/2))
}
