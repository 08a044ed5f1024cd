package fetchd

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// endpoints are all endpoints of a client.
type endpoints struct {
	all []*endpoint

	mu sync.Mutex
	// changed is closed and replaced when the health of an endpoint changes.
	changed chan struct{}
}

// minLosses is how often a request may be lost, at least. With many endpoints,
// it is two losses for each. There has to be a limit, because a request could
// kill every service that it reaches.
const minLosses = 6

func newEndpoints(all []*endpoint) *endpoints {
	return &endpoints{all: all, changed: make(chan struct{})}
}

func (e *endpoints) maxLosses() int {
	return max(minLosses, 2*len(e.all))
}

// pick returns the usable endpoint with the least load for a request, of those
// that have room. It returns nil if there is none now.
func (e *endpoints) pick(p *pending, now time.Time, hasRoom func(*endpoint) bool) *endpoint {
	// Endpoints with the same load get the same share.
	first := rand.IntN(len(e.all))
	var best *endpoint
	for offset := range e.all {
		candidate := e.all[(first+offset)%len(e.all)]
		if !candidate.isUsable(now, false) || !hasRoom(candidate) || !e.suits(p, candidate, now) {
			continue
		}
		if best == nil || candidate.load() < best.load() {
			best = candidate
		}
	}
	return best
}

// suits returns true if a usable endpoint may get the request. One that has
// refused it never may, and one that has failed it only may if all others have,
// too.
func (e *endpoints) suits(p *pending, candidate *endpoint, now time.Time) bool {
	if !p.avoids(candidate) {
		return true
	}
	if p.refusal != nil {
		return false
	}
	return !slices.ContainsFunc(e.all, func(other *endpoint) bool {
		return other.isUsable(now, false) && !p.avoids(other)
	})
}

// hasUntried returns true if an endpoint that is not ejected has not failed the
// request yet.
func (e *endpoints) hasUntried(p *pending) bool {
	for _, endpoint := range e.all {
		if !p.avoids(endpoint) && !endpoint.isEjected() {
			return true
		}
	}
	return false
}

// startProbes starts all probes that are due. Their results reach everybody who
// waits for a change.
func (e *endpoints) startProbes(ctx context.Context, now time.Time) {
	for _, endpoint := range e.all {
		e.startProbe(ctx, endpoint, now, false)
	}
}

// startProbe probes the endpoint if that is due. With isFresh, it is due as well
// if the endpoint has not answered recently.
func (e *endpoints) startProbe(ctx context.Context, endpoint *endpoint, now time.Time, isFresh bool) {
	if !endpoint.startProbe(now, isFresh) {
		return
	}
	go func() {
		endpoint.probe(ctx)
		e.notify()
	}()
}

// recordFailure records that a call to the endpoint has failed.
func (e *endpoints) recordFailure(endpoint *endpoint, failed *failure) {
	endpoint.recordFailure(failed)
	e.notify()
}

// notify wakes everybody who waits for a change.
func (e *endpoints) notify() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.changed)
	e.changed = make(chan struct{})
}

// change returns a channel that is closed when the health of an endpoint
// changes.
func (e *endpoints) change() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changed
}

// last returns the last failure for which an endpoint is ejected, or nil.
func (e *endpoints) last() *failure {
	var last *failure
	var at time.Time
	for _, endpoint := range e.all {
		if failed, since := endpoint.ejection(); failed != nil && !since.Before(at) {
			last, at = failed, since
		}
	}
	return last
}

// nextProbe returns when the next probe is due.
func (e *endpoints) nextProbe() (next time.Time, ok bool) {
	for _, endpoint := range e.all {
		if due, isDue := endpoint.probeDue(); isDue && (!ok || due.Before(next)) {
			next, ok = due, true
		}
	}
	return next, ok
}

func (e *endpoints) hasUsable(now time.Time) bool {
	for _, endpoint := range e.all {
		if endpoint.isUsable(now, false) {
			return true
		}
	}
	return false
}

// refusal returns the error of a request that no endpoint accepts, apart from
// those that don't answer. It returns nil if one may accept it.
func (e *endpoints) refusal(p *pending, now time.Time) *Error {
	if p.refusal != nil && !e.hasUntried(p) {
		return p.refusal
	}
	var last *failure
	for _, endpoint := range e.all {
		if last = endpoint.refusal(now); last == nil {
			return nil
		}
	}
	return last.err
}

// names lists the first few addresses, for messages.
func (e *endpoints) names() string {
	const most = 8
	names := make([]string, 0, most)
	for _, endpoint := range e.all[:min(most, len(e.all))] {
		names = append(names, endpoint.name)
	}
	text := strings.Join(names, ", ")
	if more := len(e.all) - most; more > 0 {
		text = fmt.Sprintf("%s and %d more", text, more)
	}
	return text
}
