package fetchd

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
)

// A list sends the requests of a source, in as many calls as necessary. If
// requests are lost it sends them again, until each has a result. All of this
// runs in the goroutine that takes the results, apart from the calls.
type list struct {
	client    *Client
	endpoints *endpoints
	source    source
	settings  listSettings
	// isWhole is true until the first call, if all requests go into it.
	isWhole bool
	// timePerRequest is how long a request of the last call occupied its slot, or
	// 0 if that is unknown.
	timePerRequest time.Duration

	ctx    context.Context
	cancel context.CancelCauseFunc
	// deadline is the time limit, if hasDeadline is set.
	deadline    time.Time
	hasDeadline bool

	queue    []*pending
	isClosed bool // The source is not read anymore.
	calls    map[*call]struct{}
	slots    slots
	events   chan event
	results  []Result
	outage   outage
	// unavailable is the error of all requests, after an outage that has lasted
	// too long and until an endpoint is admitted.
	unavailable *Error
}

const (
	maxListRequests = 10_000
	maxCallRequests = 1_000
	maxCallBytes    = 8 << 20
	// timeAhead is how long the requests take that a call to one of several
	// endpoints gets ahead of its slots. With more, an endpoint could have requests
	// left while another is idle. With fewer, there would be many tiny calls.
	timeAhead = 50 * time.Millisecond
	// deadlineGrace is how long services have to report the ends of their
	// requests after the deadline.
	deadlineGrace = time.Second
)

func newList(ctx context.Context, client *Client, source source, settings listSettings) *list {
	l := &list{
		client:    client,
		endpoints: client.endpoints,
		source:    source,
		settings:  settings,
		calls:     make(map[*call]struct{}),
		slots:     newSlots(settings.concurrency, client.endpoints),
		events:    make(chan event),
		outage:    outage{giveUpAfter: client.settings.giveUpAfter},
	}
	l.isWhole = len(client.endpoints.all) == 1 && source.fitsOneCall()
	l.ctx, l.cancel = client.withCancel(ctx)
	l.deadline, l.hasDeadline = ctx.Deadline()
	if settings.timeout != nil {
		timeout := time.Now().Add(*settings.timeout)
		if !l.hasDeadline || timeout.Before(l.deadline) {
			l.deadline, l.hasDeadline = timeout, true
		}
	}
	return l
}

// withCancel returns a context that also ends when the client is closed.
func (c *Client) withCancel(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.ctx, func() { cancel(errClosed) })
	return ctx, func(cause error) {
		stop()
		cancel(cause)
	}
}

// stop cancels all calls that are not complete.
func (l *list) stop() {
	l.source.stop()
	l.cancel(context.Canceled)
}

// run yields the results until there are no more or yield returns false.
func (l *list) run(yield func(int, Result) bool) {
	for {
		if !l.yieldResults(yield) {
			return
		}
		changed := l.endpoints.change()
		select {
		case event := <-l.events:
			l.handle(event)
		default:
		}
		now := time.Now()
		l.expire(now)
		l.startProbes(now)
		l.startCalls(now)
		if len(l.results) > 0 {
			continue
		}
		if l.isDone() {
			return
		}
		l.wait(now, changed)
	}
}

// yieldResults yields all complete results. It returns false if the loop has
// ended.
func (l *list) yieldResults(yield func(int, Result) bool) bool {
	if len(l.results) == 0 {
		return true
	}
	begun := time.Now()
	for index := range l.results {
		if !yield(l.results[index].Index, l.results[index]) {
			return false
		}
		l.results[index] = Result{}
	}
	l.results = l.results[:0]
	l.outage.pause(time.Since(begun))
	return true
}

func (l *list) isDone() bool {
	return l.hasAllRequests() && len(l.queue) == 0 && len(l.calls) == 0
}

func (l *list) hasAllRequests() bool {
	return l.isClosed || l.source.hasEnded()
}

// startProbes starts the probes that are due, if a request waits for an endpoint
// or has failed for want of one.
func (l *list) startProbes(now time.Time) {
	if l.needsEndpoint() {
		l.endpoints.startProbes(l.client.ctx, now)
	}
}

func (l *list) needsEndpoint() bool {
	return len(l.queue) > 0 || l.unavailable != nil
}

// startCalls makes all calls that are worth making now.
func (l *list) startCalls(now time.Time) {
	for l.slots.hasRoom() {
		l.takeRequests(now)
		l.endRefused(now)
		if len(l.queue) == 0 {
			return
		}
		l.startProbes(now)
		if !l.startCall(now) {
			l.noteOutage(now)
			return
		}
	}
}

// maxRequests returns the largest number of requests of a call.
func (l *list) maxRequests() int {
	share := l.slots.share()
	switch {
	case l.isWhole:
		return maxListRequests
	case len(l.endpoints.all) == 1:
		return maxCallRequests
	case l.timePerRequest == 0:
		return share
	default:
		ahead := int(time.Duration(share) * timeAhead / l.timePerRequest)
		return min(max(share, ahead), maxCallRequests)
	}
}

// takeRequests reads the requests of the next call.
func (l *list) takeRequests(now time.Time) {
	if l.unavailable != nil && l.endpoints.hasUsable(now) {
		l.unavailable = nil
	}
	count := l.maxRequests()
	for !l.hasAllRequests() {
		size := 0
		for _, pending := range l.queue {
			size += pending.size
		}
		if len(l.queue) >= count || size >= maxCallBytes {
			return
		}
		taken := l.source.take(count-len(l.queue), maxCallBytes-size)
		if len(taken) == 0 {
			return
		}
		for _, pending := range taken {
			switch {
			case pending.invalid != nil:
				l.finish(pending.failed(pending.invalid))
			case l.unavailable != nil:
				l.finish(pending.failed(l.unavailable))
			default:
				l.queue = append(l.queue, pending)
			}
		}
		if len(l.results) > 0 {
			return
		}
	}
}

// startCall starts the next call. It returns false if it can't be made now.
func (l *list) startCall(now time.Time) bool {
	var at *endpoint
	for _, pending := range l.queue {
		if at = l.endpoints.pick(pending, now, l.slots.hasRoomAt); at != nil {
			break
		}
	}
	if at == nil {
		return false
	}
	requests, rest, mustBeFresh := l.split(at, now)
	if mustBeFresh && !at.isUsable(now, true) {
		l.endpoints.startProbe(l.client.ctx, at, now, true)
		return false
	}
	l.queue = rest
	slots := l.slots.free(at)
	call := newCall(l.ctx, at, requests, slots, l.client.settings.silenceTimeout)
	call.message.Options = l.settings.batchOptions()
	call.message.Concurrency = uint32(slots)
	if l.isWhole {
		// The whole list is in this call, so the default is that of the service.
		call.message.Concurrency = uint32(l.settings.concurrency)
		l.isWhole = false
	}
	if l.hasDeadline {
		call.message.Timeout = durationpb.New(max(l.deadline.Sub(now), time.Millisecond))
	}
	l.calls[call] = struct{}{}
	l.slots.add(at, call.inFlight())
	at.addLoad(slots)
	go call.run(l.events)
	return true
}

// split divides the queue into the requests of the next call to an endpoint and
// the rest. The endpoint must have answered recently if one of them must not be
// sent twice.
func (l *list) split(at *endpoint, now time.Time) (requests, rest []*pending, mustBeFresh bool) {
	size, count := 0, l.maxRequests()
	for _, pending := range l.queue {
		fits := len(requests) < count && (size+pending.size <= maxCallBytes || len(requests) == 0)
		if !fits || !l.endpoints.suits(pending, at, now) {
			rest = append(rest, pending)
			continue
		}
		size += pending.size
		requests = append(requests, pending)
		mustBeFresh = mustBeFresh || !pending.isIdempotent
	}
	return requests, rest, mustBeFresh
}

// handle handles an event of a call.
func (l *list) handle(event event) {
	call := event.call
	if _, isOpen := l.calls[call]; !isOpen {
		return
	}
	if event.failed == nil {
		l.outage.recordAnswer()
	}
	l.slots.add(call.endpoint, -call.inFlight())
	for _, result := range event.results {
		pending := call.pending[result.Index]
		call.pending[result.Index] = nil
		call.unfinished--
		result.Index, result.Request = pending.index, pending.request
		l.finishOrResend(pending, call.endpoint, result)
	}
	l.slots.add(call.endpoint, call.inFlight())
	if event.hasEnded {
		l.close(call)
	}
	if event.failed != nil {
		l.resendLost(call, event.failed)
	} else if event.hasEnded {
		l.timePerRequest = call.timePerRequest(time.Now())
	}
}

func (l *list) close(call *call) {
	l.slots.add(call.endpoint, -call.inFlight())
	call.cancel()
	delete(l.calls, call)
}

// finishOrResend finishes a request, unless its end says that the service shuts
// down and it may be sent again.
func (l *list) finishOrResend(p *pending, at *endpoint, result Result) {
	err, _ := result.Err.(*Error)
	disposition := endDisposition(err, result.Stats.Attempts)
	if disposition == final {
		at.recordResult()
		l.finish(result)
		return
	}
	l.endpoints.recordFailure(at, (&failure{err: err, disposition: disposition}).at(at.name))
	if mayResend(p, at, disposition, l.endpoints) {
		l.queue = append(l.queue, p)
	} else {
		l.finish(result)
	}
}

// resendLost sends the requests without a result again, or ends them.
func (l *list) resendLost(call *call, failed *failure) {
	l.endpoints.recordFailure(call.endpoint, failed)
	l.outage.begin(time.Now(), failed)
	for _, pending := range call.pending {
		switch {
		case pending == nil:
		case mayResend(pending, call.endpoint, failed.disposition, l.endpoints):
			if failed.disposition == refused || failed.disposition == foreign {
				pending.refusal = failed.err
			}
			l.queue = append(l.queue, pending)
		default:
			l.finish(pending.failed(failed.finalError()))
		}
	}
}

// wait waits until something happens.
func (l *list) wait(now time.Time, changed <-chan struct{}) {
	var arrival <-chan struct{}
	if l.slots.hasRoom() && !l.hasAllRequests() {
		arrival = l.source.arrival()
	}
	timer := time.NewTimer(l.nextTime(now).Sub(now))
	defer timer.Stop()
	select {
	case event := <-l.events:
		l.handle(event)
	case <-arrival:
		l.source.gather()
	case <-changed:
		if l.endpoints.hasUsable(time.Now()) {
			l.outage.recordProbe()
		}
	case <-l.ctx.Done():
	case <-timer.C:
	}
}

// maxWait limits a wait without another limit.
const maxWait = time.Hour

// nextTime returns when to look again if nothing happens.
func (l *list) nextTime(now time.Time) time.Time {
	next := now.Add(maxWait)
	consider := func(at time.Time, ok bool) {
		if ok && at.Before(next) {
			next = at
		}
	}
	consider(l.deadline.Add(deadlineGrace), l.hasDeadline)
	consider(l.outage.end())
	consider(l.deadline, l.hasDeadline && (!l.isClosed || len(l.queue) > 0))
	if l.needsEndpoint() {
		consider(l.endpoints.nextProbe())
	}
	return next
}
