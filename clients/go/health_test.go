package fetchd

import (
	"slices"
	"testing"
	"time"
)

var (
	now       = time.Unix(1_700_000_000, 0)
	lostCall1 = &failure{disposition: lost, err: serviceLost("lost")}
)

func TestEndpointIsProbedFirst(t *testing.T) {
	var health health
	if health.isUsable(now, false) || !health.startProbe(now, false) || health.startProbe(now, false) {
		t.Fatalf("got %+v", health)
	}
	health.endProbe(now, nil)
	if !health.isUsable(now, true) || health.startProbe(now, true) {
		t.Fatalf("got %+v", health)
	}
	// The answer is too old for a request that must not be sent twice.
	later := now.Add(2 * time.Second)
	if !health.isUsable(later, false) || health.isUsable(later, true) || health.startProbe(later, false) || !health.startProbe(later, true) {
		t.Errorf("got %+v", health)
	}
}

func TestBackOffGrowsWithEachFailure(t *testing.T) {
	health := health{state: admitted}
	health.recordFailure(now, lostCall1)
	var waits []time.Duration
	at := now
	for range 8 {
		if health.isUsable(at, false) || health.startProbe(at, false) {
			t.Fatalf("got %+v", health)
		}
		waits = append(waits, health.until.Sub(at))
		at = health.until
		if !health.startProbe(at, false) {
			t.Fatalf("got %+v", health)
		}
		health.endProbe(at, lostCall1)
	}
	if !slices.IsSorted(waits[:5]) || waits[0] < minBackoff || waits[0] > minBackoff*3/2 || waits[7] < maxBackoff || waits[7] > maxBackoff*3/2 {
		t.Errorf("got %v", waits)
	}
	health.startProbe(health.until, false)
	health.endProbe(at, nil)
	health.recordResult()
	health.recordFailure(at, lostCall1)
	if wait := health.until.Sub(at); wait > minBackoff*3/2 {
		t.Errorf("after a result: got %v", wait)
	}
}

func TestLateFailuresDoNotCount(t *testing.T) {
	health := health{state: admitted}
	health.recordFailure(now, lostCall1)
	before := health
	health.recordFailure(now, lostCall1)
	if health != before {
		t.Errorf("got %+v", health)
	}
}

func TestRefusedCallsEjectNoEndpoint(t *testing.T) {
	for _, disposition := range []disposition{final, refused} {
		health := health{state: admitted}
		health.recordFailure(now, &failure{disposition: disposition})
		if !health.isUsable(now, false) {
			t.Errorf("%v: got %+v", disposition, health)
		}
	}
}

func TestFullEndpointWaitsAsItSays(t *testing.T) {
	for _, test := range []struct{ retryAfter, least, most time.Duration }{
		{0, minBackoff / 2, minBackoff},
		{time.Second, time.Second, 3 * time.Second / 2},
		{time.Hour, maxRetryAfter, maxRetryAfter * 3 / 2},
		{-time.Hour, minBackoff / 2, minBackoff},
	} {
		health := health{state: admitted}
		health.recordFailure(now, &failure{disposition: notDispatched, isFull: true, retryAfter: test.retryAfter})
		if wait := health.until.Sub(now); wait < test.least || wait > test.most {
			t.Errorf("%v: got %v", test.retryAfter, wait)
		}
	}
}

func TestForeignEndpointIsAskedAgainLater(t *testing.T) {
	var health health
	health.startProbe(now, false)
	health.endProbe(now, &failure{disposition: foreign})
	if health.refusal(now) == nil || health.refusal(health.until) != nil {
		t.Errorf("got %+v", health)
	}
}
