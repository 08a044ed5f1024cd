package fetchd

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc/resolver"
)

// names looks up the names of endpoints. It differs from gRPC's own resolver in
// how soon it looks up a name again: after a lost connection, all addresses may
// be new, and 30 s are too long to wait for them.
type names struct{}

const (
	namesScheme = "fetchd"
	// lookupInterval is the shortest time between two look-ups of a name.
	lookupInterval = time.Second
	lookupTimeout  = 5 * time.Second
)

func (names) Scheme() string { return namesScheme }

func (names) Build(target resolver.Target, conn resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	host, port, err := net.SplitHostPort(target.Endpoint())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	lookups := &lookups{
		host:   host,
		port:   port,
		conn:   conn,
		cancel: cancel,
		wanted: make(chan struct{}, 1),
		ended:  make(chan struct{}),
	}
	lookups.ResolveNow(resolver.ResolveNowOptions{})
	go lookups.run(ctx)
	return lookups, nil
}

// lookups looks up one name whenever gRPC asks for it.
type lookups struct {
	host, port string
	conn       resolver.ClientConn
	cancel     context.CancelFunc
	wanted     chan struct{}
	ended      chan struct{}
}

func (l *lookups) ResolveNow(resolver.ResolveNowOptions) {
	select {
	case l.wanted <- struct{}{}:
	default:
	}
}

func (l *lookups) Close() {
	l.cancel()
	<-l.ended
}

func (l *lookups) run(ctx context.Context) {
	defer close(l.ended)
	for {
		select {
		case <-l.wanted:
		case <-ctx.Done():
			return
		}
		l.lookUp(ctx)
		select {
		case <-time.After(lookupInterval):
		case <-ctx.Done():
			return
		}
	}
}

func (l *lookups) lookUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupHost(ctx, l.host)
	if err != nil {
		l.conn.ReportError(err)
		return
	}
	addresses := make([]resolver.Address, len(found))
	for index, host := range found {
		addresses[index].Addr = net.JoinHostPort(host, l.port)
	}
	// gRPC reports what it cannot do with the addresses on the calls.
	_ = l.conn.UpdateState(resolver.State{Addresses: addresses})
}
