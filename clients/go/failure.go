package fetchd

import (
	"slices"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A failure is a failed call.
type failure struct {
	// err is the error of the requests that are not sent again.
	err         *Error
	disposition disposition
	// isFull is true if the service has no room for the call. It may have room
	// again after retryAfter.
	isFull     bool
	retryAfter time.Duration
}

// A disposition tells whether the requests of a failed call may be sent again,
// and whether to blame the endpoint.
type disposition int

const (
	// final: sending the requests again would not change the result.
	final disposition = iota
	// refused: the endpoint rejected the call and dispatched nothing. Another
	// one may accept it.
	refused
	// foreign: as refused, and the endpoint is not a fetchd service or does not
	// accept this client at all.
	foreign
	// notDispatched: nothing was dispatched. All requests may be sent again.
	notDispatched
	// lost: the requests may have been dispatched. Only the idempotent ones may
	// be sent again.
	lost
)

// callFailure returns what the error of a call means. hasBegun is true if
// messages had already arrived, and therefore requests were dispatched.
func callFailure(err error, hasBegun bool) *failure {
	status := status.Convert(err)
	disposition, details := lost, status.Details()
	retry := detail[*errdetails.RetryInfo](details)
	switch status.Code() {
	case codes.InvalidArgument, codes.OutOfRange, codes.Unauthenticated:
		disposition = refused
	case codes.Unimplemented, codes.PermissionDenied:
		disposition = foreign
	case codes.Unavailable:
		info := detail[*errdetails.ErrorInfo](details)
		if info.GetReason() == "DRAINING" && info.GetDomain() == "fetchd" {
			disposition = notDispatched
		}
	case codes.ResourceExhausted:
		if retry != nil {
			disposition = notDispatched
		}
	}
	if hasBegun {
		disposition = lost
	}
	failed := &failure{disposition: disposition}
	if disposition == notDispatched && retry != nil {
		failed.isFull = true
		failed.retryAfter = retry.GetRetryDelay().AsDuration()
	}
	failed.err = &Error{
		Reason:    ReasonCallFailed,
		Message:   status.Message(),
		Retryable: isTransient(status.Code()),
		Code:      status.Code(),
		cause:     err,
	}
	if disposition == lost {
		failed.err.Reason = ReasonServiceLost
		failed.err.Retryable = true
	}
	return failed
}

// lostCall is a call that failed on this side: it may have dispatched its
// requests.
func lostCall(err *Error) *failure {
	return &failure{err: err, disposition: lost}
}

// silentCall is a call on which nothing arrived for timeout.
func silentCall(timeout time.Duration) *failure {
	return lostCall(serviceLost("the service sent nothing for %v while requests were open", timeout))
}

// endDisposition returns what the end of a single request means for it.
func endDisposition(err *Error, attempts int) disposition {
	switch {
	case err == nil || err.Reason != ReasonShuttingDown:
		return final
	case attempts == 0:
		return notDispatched
	default:
		return lost
	}
}

// at returns the failure with the name of its endpoint.
func (f *failure) at(endpoint string) *failure {
	err := *f.err
	err.Message = endpoint + ": " + err.Message
	named := *f
	named.err = &err
	return &named
}

// finalError returns the error of a request that is not sent again.
func (f *failure) finalError() *Error {
	if f.disposition != lost || f.err.Reason != ReasonServiceLost {
		return f.err
	}
	err := *f.err
	err.Message += "; the request may have reached its origin and was not sent again"
	return &err
}

// isTransient returns true if a call that failed with code may succeed later.
func isTransient(code codes.Code) bool {
	return slices.Contains([]codes.Code{
		codes.Canceled,
		codes.Unknown,
		codes.DeadlineExceeded,
		codes.ResourceExhausted,
		codes.Aborted,
		codes.Unavailable,
	}, code)
}

// detail returns the detail of type T, or its zero value if there is none.
func detail[T any](details []any) T {
	for _, detail := range details {
		if found, ok := detail.(T); ok {
			return found
		}
	}
	var none T
	return none
}
