package fetchd

import "time"

// An outage measures how long no endpoint has accepted a request of one list.
// After its limit, all open requests of the list end together. Otherwise each
// of them would wait for the same time, one after the other.
type outage struct {
	giveUpAfter time.Duration
	isActive    bool
	since       time.Time
	last        *failure
}

// fullFactor is how many times longer to wait if the endpoints are full. They
// answer, and will have room sooner or later.
const fullFactor = 4

// begin starts the outage, if there is none yet.
func (o *outage) begin(now time.Time, last *failure) {
	if !o.isActive {
		o.isActive = true
		o.since = now
	}
	if last != nil {
		o.last = last
	}
}

// recordAnswer ends the outage, since an endpoint has answered a call.
func (o *outage) recordAnswer() {
	o.isActive = false
	o.last = nil
}

// recordProbe ends the outage, since an endpoint has answered a probe, unless
// the endpoints are full: a full endpoint may answer an empty batch and still
// refuse all others.
func (o *outage) recordProbe() {
	if !o.isFull() {
		o.recordAnswer()
	}
}

// pause extends the outage by a time in which nobody waited for an answer.
func (o *outage) pause(duration time.Duration) {
	o.since = o.since.Add(duration)
}

// end returns when the outage has lasted too long.
func (o *outage) end() (time.Time, bool) {
	return o.since.Add(o.limit()), o.isActive
}

// err returns the error of the requests that are open at the end of the outage.
// names are the addresses of the endpoints.
func (o *outage) err(names string) *Error {
	cause := ""
	if o.last != nil {
		cause = "; last error: " + o.last.err.Message
	}
	return serviceLost("no replica accepted a request for %v (of %s)%s", o.limit(), names, cause)
}

func (o *outage) limit() time.Duration {
	if o.isFull() {
		return fullFactor * o.giveUpAfter
	}
	return o.giveUpAfter
}

func (o *outage) isFull() bool {
	return o.last != nil && o.last.isFull
}
