package fetchd

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
)

// Version is the version of this module.
const Version = "0.1.0"

// A Client sends requests to one or several fetchd services. It may be used by
// several goroutines at once, and should be kept as long as it is needed, since
// it keeps its connections.
type Client struct {
	settings  settings
	endpoints *endpoints
	// ctx ends when the client is closed.
	ctx       context.Context
	cancel    context.CancelCauseFunc
	closeOnce func() error
}

// errClosed is the cause of the errors after Close.
var errClosed = closedError{}

type closedError struct{}

func (closedError) Error() string        { return "the client is closed" }
func (closedError) Is(target error) bool { return target == net.ErrClosed }

// New returns a client of the services at target: an address such as
// "localhost:50051", "http://localhost:50051" or "https://fetchd.example", or
// several, separated by commas. The default port is 50051 for http and 443 for
// https. An address without a scheme uses TLS if an option sets it up.
//
// A name with several IP addresses, such as that of a headless Service of
// Kubernetes, stands for a service at each of them.
//
// New does not connect. It fails if target or an option is invalid, or if a
// file cannot be used.
func New(target string, options ...Option) (*Client, error) {
	settings := defaultSettings()
	for _, option := range options {
		if err := option(&settings); err != nil {
			return nil, err
		}
	}
	addresses, err := parseAddresses(target, settings.usesTLS())
	if err != nil {
		return nil, err
	}
	plain, encrypted, err := settings.dialOptions(addresses)
	if err != nil {
		return nil, err
	}
	client := &Client{settings: settings}
	client.ctx, client.cancel = context.WithCancelCause(context.Background())
	var all []*endpoint
	for _, address := range addresses {
		dial := plain
		if address.isTLS {
			dial = encrypted
		}
		endpoint, err := newEndpoint(address.hostPort, slices.Clone(dial))
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, endpoint)
	}
	client.endpoints = newEndpoints(all)
	client.closeOnce = sync.OnceValue(func() error { return closeAll(all) })
	return client, nil
}

// Close cancels all requests and closes the connections. The remaining requests
// end with an error that matches [net.ErrClosed].
func (c *Client) Close() error {
	c.cancel(errClosed)
	return c.closeOnce()
}

func closeAll(all []*endpoint) error {
	var errs []error
	for _, endpoint := range all {
		errs = append(errs, endpoint.conn.Close())
	}
	return errors.Join(errs...)
}
