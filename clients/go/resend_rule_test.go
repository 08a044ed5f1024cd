package fetchd

import "testing"

func TestPOSTIsSentAgainOnlyIfItWasNotDispatched(t *testing.T) {
	a, b := &endpoint{name: "a"}, &endpoint{name: "b"}
	both := newEndpoints([]*endpoint{a, b})
	one := newEndpoints([]*endpoint{a})
	for _, test := range []struct {
		disposition disposition
		isPOST      bool
		all         *endpoints
		want        bool
	}{
		{final, false, both, false},
		{final, true, both, false},
		{notDispatched, false, one, true},
		{notDispatched, true, one, true},
		{lost, false, one, true},
		{lost, true, both, false},
		{refused, false, both, true},
		{refused, true, both, true},
		{refused, false, one, false},
		{foreign, true, both, true},
		{foreign, true, one, false},
	} {
		pending := &pending{isIdempotent: !test.isPOST}
		if got := mayResend(pending, a, test.disposition, test.all); got != test.want {
			t.Errorf("%+v: got %v", test, got)
		}
		if !pending.avoids(a) || pending.avoids(b) {
			t.Errorf("%+v: avoids %v", test, pending.failedAt)
		}
	}
}

// A request that kills every service it reaches must not do so forever.
func TestLossesAreLimited(t *testing.T) {
	for count, want := range map[int]int{1: 5, 3: 5, 4: 7} {
		var all []*endpoint
		for range count {
			all = append(all, &endpoint{})
		}
		endpoints := newEndpoints(all)
		pending := &pending{isIdempotent: true}
		resent := 0
		for mayResend(pending, all[resent%count], lost, endpoints) {
			resent++
		}
		if resent != want {
			t.Errorf("with %d endpoints, it was sent again %d times", count, resent)
		}
		// This is limited by the outage alone.
		if !mayResend(pending, all[0], notDispatched, endpoints) {
			t.Error("it must be sent again if it was not dispatched")
		}
	}
}

func TestEndpointsThatFailedARequestComeLast(t *testing.T) {
	a, b := &endpoint{name: "a"}, &endpoint{name: "b"}
	all := newEndpoints([]*endpoint{a, b})
	a.health.state, b.health.state = admitted, admitted
	hasRoom := func(*endpoint) bool { return true }
	fresh, failed, denied := &pending{}, &pending{failedAt: []*endpoint{a}}, &pending{failedAt: []*endpoint{a}, refusal: serviceLost("")}
	seen := map[*endpoint]bool{}
	for range 100 {
		seen[all.pick(fresh, now, hasRoom)] = true
		if got := all.pick(failed, now, hasRoom); got != b {
			t.Errorf("got %v", got)
		}
	}
	if !seen[a] || !seen[b] {
		t.Error("endpoints with the same load don't share")
	}
	b.addLoad(1)
	if got := all.pick(fresh, now, hasRoom); got != a {
		t.Errorf("the endpoint with less load: got %v", got)
	}
	b.health.state = ejected
	if got := all.pick(failed, now, hasRoom); got != a {
		t.Errorf("without another: got %v", got)
	}
	if got := all.pick(denied, now, hasRoom); got != nil {
		t.Errorf("after a refusal: got %v", got)
	}
	if all.refusal(denied, now) == nil || all.refusal(failed, now) != nil {
		t.Error("a request is refused if no other endpoint answers")
	}
}
