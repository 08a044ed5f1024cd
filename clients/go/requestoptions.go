package fetchd

import (
	"cmp"
	"math"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/fetchd/fetchd/clients/go/fetchdv1"
)

// Options limit one request. Zero values mean the default: that of the list
// ([WithRequestDefaults]), or else of the service. The service lowers values
// above its maximum to it.
type Options struct {
	// Timeout is the time limit from the dispatch of the request to the last
	// byte of the body, with redirects and retries. Default 30 s, maximum 10 min
	// unless the service is configured otherwise.
	Timeout time.Duration
	// IdleTimeout is the longest silence of the origin. Default 15 s.
	IdleTimeout time.Duration
	// ConnectTimeout is the time limit for DNS, TCP and TLS. Default 5 s.
	ConnectTimeout time.Duration
	// MaxRedirects is the number of redirects to follow. If negative, a redirect
	// is returned as the response. Default 10, maximum 20.
	MaxRedirects int
	// MaxBodyBytes is the largest body after decompression, in bytes. If
	// negative, the body must be empty. Default 10 MiB, maximum 1 GiB unless the
	// service is configured otherwise.
	MaxBodyBytes int64
	// Truncate cuts a larger body at MaxBodyBytes. By default, the request fails
	// with ReasonBodyTooLarge.
	Truncate bool
	// MaxAttempts is the number of attempts, including the first. Only
	// idempotent requests are repeated after something was written. Default 3,
	// maximum 10.
	MaxAttempts int
}

// or returns the options with the defaults for those that are not set.
func (o Options) or(defaults Options) Options {
	return Options{
		Timeout:        cmp.Or(o.Timeout, defaults.Timeout),
		IdleTimeout:    cmp.Or(o.IdleTimeout, defaults.IdleTimeout),
		ConnectTimeout: cmp.Or(o.ConnectTimeout, defaults.ConnectTimeout),
		MaxRedirects:   cmp.Or(o.MaxRedirects, defaults.MaxRedirects),
		MaxBodyBytes:   cmp.Or(o.MaxBodyBytes, defaults.MaxBodyBytes),
		Truncate:       o.Truncate || defaults.Truncate,
		MaxAttempts:    cmp.Or(o.MaxAttempts, defaults.MaxAttempts),
	}
}

// message returns the options as a message, or nil if all are the default.
func (o *Options) message() (*fetchdv1.FetchOptions, *Error) {
	if *o == (Options{}) {
		return nil, nil
	}
	message := &fetchdv1.FetchOptions{}
	for _, limit := range []struct {
		name  string
		value time.Duration
		field **durationpb.Duration
	}{
		{"Timeout", o.Timeout, &message.Timeout},
		{"IdleTimeout", o.IdleTimeout, &message.IdleTimeout},
		{"ConnectTimeout", o.ConnectTimeout, &message.ConnectTimeout},
	} {
		if limit.value < 0 {
			return nil, invalidRequest("Options.%s: expected a duration greater than 0, got %v", limit.name, limit.value)
		}
		if limit.value > 0 {
			*limit.field = durationpb.New(limit.value)
		}
	}
	if o.MaxAttempts < 0 {
		return nil, invalidRequest("Options.MaxAttempts: expected 1 or more, got %d", o.MaxAttempts)
	}
	if o.MaxAttempts > 0 {
		message.MaxAttempts = proto.Uint32(clampUint32(o.MaxAttempts))
	}
	if o.MaxRedirects != 0 {
		message.MaxRedirects = proto.Uint32(clampUint32(o.MaxRedirects))
	}
	if o.MaxBodyBytes != 0 {
		message.MaxBodyBytes = proto.Uint64(uint64(max(o.MaxBodyBytes, 0)))
	}
	if o.Truncate {
		message.BodyOverflow = fetchdv1.BodyOverflow_BODY_OVERFLOW_TRUNCATE
	}
	return message, nil
}

func clampUint32(value int) uint32 {
	return uint32(min(max(int64(value), 0), math.MaxUint32))
}
