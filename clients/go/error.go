package fetchd

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/fetchd/fetchd/clients/go/fetchdv1"
)

// A Reason is the kind of a failure. Later versions of the service may report
// others, such as "REASON_99". Use [Error.Retryable] for those.
type Reason string

// The reasons that the service reports for a single request.
const (
	// The URL, the method, a header or an option is invalid.
	ReasonInvalidRequest Reason = "INVALID_REQUEST"
	// The egress policy of the service denies the destination.
	ReasonBlocked Reason = "BLOCKED"
	// The name has no address, or its name servers did not answer.
	ReasonDNS Reason = "DNS"
	// The service could not connect to the origin.
	ReasonConnect Reason = "CONNECT"
	// The TLS handshake with the origin failed.
	ReasonTLS Reason = "TLS"
	// Options.Timeout or Options.IdleTimeout passed.
	ReasonTimeout Reason = "TIMEOUT"
	// There were more redirects than Options.MaxRedirects.
	ReasonTooManyRedirects Reason = "TOO_MANY_REDIRECTS"
	// The response is not valid HTTP, or its head is too large.
	ReasonProtocol Reason = "PROTOCOL"
	// The origin closed the connection before the response was complete.
	ReasonDisconnected Reason = "DISCONNECTED"
	// The body cannot be decoded as its Content-Encoding.
	ReasonDecode Reason = "DECODE"
	// The body is larger than Options.MaxBodyBytes.
	ReasonBodyTooLarge Reason = "BODY_TOO_LARGE"
	// The deadline of the context or of [WithTimeout] passed first.
	ReasonBatchDeadline Reason = "BATCH_DEADLINE"
	// The service is shutting down.
	ReasonShuttingDown Reason = "SHUTTING_DOWN"
	// The service has an internal error.
	ReasonInternal Reason = "INTERNAL"
)

// The reasons that the client itself reports.
const (
	// No service answered for as long as the client waits, or the service was
	// lost with a request that must not be sent again.
	ReasonServiceLost Reason = "SERVICE_LOST"
	// The service refused the call, with the code Error.Code.
	ReasonCallFailed Reason = "CALL_FAILED"
	// The service sent a response that violates the protocol.
	ReasonContractBroken Reason = "CONTRACT_BROKEN"
	// The context was cancelled, or the client was closed.
	ReasonCanceled Reason = "CANCELED"
)

// An Error tells why a request has no complete response. Every error of a
// request is an *Error:
//
//	var failure *fetchd.Error
//	if errors.As(result.Err, &failure) && failure.Retryable {
//		…
//	}
type Error struct {
	// Reason is the kind of the failure.
	Reason Reason
	// Message describes the failure and its cause. It contains no query string
	// and no credentials.
	Message string
	// Retryable is true if the same request may succeed later. This does not
	// mean that it is safe to send it twice.
	Retryable bool
	// Code is the gRPC status code of the failed call, or codes.OK if no call
	// failed.
	Code codes.Code

	cause error
}

// Error returns the reason and the message.
func (e *Error) Error() string {
	return fmt.Sprintf("fetchd: %s: %s", e.Reason, e.Message)
}

// Unwrap returns the cause, for example the error of the context or the gRPC
// status, if there is one.
func (e *Error) Unwrap() error { return e.cause }

// Is returns true for [context.DeadlineExceeded] if a time limit passed.
func (e *Error) Is(target error) bool {
	return target == context.DeadlineExceeded && e.Timeout()
}

// Timeout returns true if a time limit of the request or of its list passed.
func (e *Error) Timeout() bool {
	return e.Reason == ReasonTimeout || e.Reason == ReasonBatchDeadline
}

// fetchError is the error that the service reports for a single request.
func fetchError(err *fetchdv1.FetchError) *Error {
	return &Error{
		Reason:    reasonOf(err.GetReason()),
		Message:   err.GetMessage(),
		Retryable: err.GetRetryable(),
	}
}

func reasonOf(reason fetchdv1.Reason) Reason {
	name, ok := fetchdv1.Reason_name[int32(reason)]
	if !ok {
		return Reason(fmt.Sprintf("REASON_%d", reason))
	}
	return Reason(strings.TrimPrefix(name, "REASON_"))
}

func invalidRequest(format string, args ...any) *Error {
	return &Error{Reason: ReasonInvalidRequest, Message: fmt.Sprintf(format, args...)}
}

func contractBroken(problem string) *Error {
	return &Error{Reason: ReasonContractBroken, Message: "the service broke its contract: " + problem}
}

func serviceLost(format string, args ...any) *Error {
	return &Error{
		Reason:    ReasonServiceLost,
		Message:   fmt.Sprintf(format, args...),
		Retryable: true,
		Code:      codes.Unavailable,
	}
}

func batchDeadline() *Error {
	return &Error{
		Reason:    ReasonBatchDeadline,
		Message:   "the deadline of the batch passed first",
		Retryable: true,
	}
}

// stopped is the error for requests whose context has ended.
func stopped(ctx context.Context) *Error {
	cause := context.Cause(ctx)
	if ctx.Err() == context.DeadlineExceeded {
		err := batchDeadline()
		err.cause = cause
		return err
	}
	return &Error{Reason: ReasonCanceled, Message: cause.Error(), Code: codes.Canceled, cause: cause}
}
