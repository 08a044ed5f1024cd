package fetchd

import (
	"testing"
	"time"
)

func TestProbeOfAFullEndpointEndsNoOutage(t *testing.T) {
	full := outage{giveUpAfter: time.Second}
	full.begin(now, &failure{isFull: true, err: serviceLost("full")})
	full.recordProbe()
	if end, ok := full.end(); !ok || end != now.Add(4*time.Second) {
		t.Errorf("got %v, %v", end, ok)
	}
	full.recordAnswer()
	if _, ok := full.end(); ok {
		t.Error("it goes on")
	}

	gone := outage{giveUpAfter: time.Second}
	gone.begin(now, lostCall1)
	gone.begin(now.Add(time.Second/2), lostCall1)
	if end, ok := gone.end(); !ok || end != now.Add(time.Second) {
		t.Errorf("got %v, %v", end, ok)
	}
	if got := gone.err("a:1, b:2").Message; got != "no replica accepted a request for 1s (of a:1, b:2); last error: lost" {
		t.Errorf("got %q", got)
	}
	gone.recordProbe()
	if _, ok := gone.end(); ok {
		t.Error("it goes on")
	}
}

// While the caller handles a result, nobody tries to reach an endpoint.
func TestOutageIsPaused(t *testing.T) {
	outage := outage{giveUpAfter: time.Second}
	outage.begin(now, lostCall1)
	outage.pause(time.Minute)
	if end, _ := outage.end(); end != now.Add(time.Minute+time.Second) {
		t.Errorf("got %v", end)
	}
}
