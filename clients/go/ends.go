package fetchd

import "time"

// expire ends what has taken too long.
func (l *list) expire(now time.Time) {
	if l.ctx.Err() != nil {
		l.failAll(stopped(l.ctx))
		return
	}
	if l.hasDeadline && !now.Before(l.deadline) {
		l.failRequests(batchDeadline())
	}
	if l.hasDeadline && !now.Before(l.deadline.Add(deadlineGrace)) {
		l.failCalls(batchDeadline())
	}
	if len(l.queue) == 0 && len(l.calls) == 0 {
		// Nothing waits for an answer.
		l.outage.recordAnswer()
	}
	if end, ok := l.outage.end(); ok && !now.Before(end) {
		l.giveUp()
	}
}

// endRefused ends the requests that every endpoint has refused, apart from those
// that don't answer.
func (l *list) endRefused(now time.Time) {
	kept := l.queue[:0]
	for _, pending := range l.queue {
		if err := l.endpoints.refusal(pending, now); err != nil {
			l.finish(pending.failed(err))
		} else {
			kept = append(kept, pending)
		}
	}
	l.queue = kept
}

// noteOutage begins the outage if no endpoint may get requests.
func (l *list) noteOutage(now time.Time) {
	if !l.endpoints.hasUsable(now) {
		l.outage.begin(now, l.endpoints.last())
	}
}

// giveUp ends all requests, since no endpoint accepts them.
func (l *list) giveUp() {
	err := l.outage.err(l.endpoints.names())
	l.outage.recordAnswer()
	l.unavailable = err
	l.failQueue(err)
	l.failCalls(err)
}

// failAll ends all requests, and reads no more of them.
func (l *list) failAll(err *Error) {
	l.failCalls(err)
	l.failRequests(err)
}

// failRequests ends the requests that are not in a call, and reads no more of
// them.
func (l *list) failRequests(err *Error) {
	l.failQueue(err)
	if !l.isClosed {
		l.isClosed = true
		l.source.stop()
		for _, pending := range l.source.rest() {
			l.finish(pending.failed(err))
		}
	}
}

func (l *list) failCalls(err *Error) {
	for call := range l.calls {
		l.close(call)
		for _, pending := range call.pending {
			if pending != nil {
				l.finish(pending.failed(err))
			}
		}
	}
}

// failQueue ends the requests that were read and are not in a call.
func (l *list) failQueue(err *Error) {
	for _, pending := range l.queue {
		l.finish(pending.failed(err))
	}
	l.queue = nil
}

func (l *list) finish(result Result) {
	l.results = append(l.results, result)
}
