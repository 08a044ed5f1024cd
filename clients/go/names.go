package fetchd

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/resolver"
)

// names looks up the name of one endpoint. It differs from gRPC's own resolver in
// how often it does. A lost connection leads to another look-up, at most once a
// second, because all addresses may be new then. So does a call, at most every
// five seconds, because there may be more services.
type names struct {
	mu sync.Mutex
	// lookups is nil while gRPC has not connected, or is idle.
	lookups *lookups
}

const (
	namesScheme = "fetchd"
	// minLookupInterval is the shortest time between two look-ups of a name.
	minLookupInterval = time.Second
	// lookupInterval is the time after which a call leads to a look-up, or a
	// failed one is repeated.
	lookupInterval = 5 * time.Second
	lookupTimeout  = 5 * time.Second
)

// lookupHost is replaced by tests.
var lookupHost = net.DefaultResolver.LookupHost

func (*names) Scheme() string { return namesScheme }

func (n *names) Build(target resolver.Target, conn resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
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
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lookups = lookups
	return lookups, nil
}

// refresh looks up the name again if the last look-up was a while ago.
func (n *names) refresh() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lookups != nil && n.lookups.isOld() {
		n.lookups.ResolveNow(resolver.ResolveNowOptions{})
	}
}

// lookups looks up one name whenever gRPC asks for it.
type lookups struct {
	host, port string
	conn       resolver.ClientConn
	cancel     context.CancelFunc
	wanted     chan struct{}
	ended      chan struct{}

	mu sync.Mutex
	// last is when the name was looked up.
	last time.Time
}

func (l *lookups) isOld() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.last) >= lookupInterval
}

func (l *lookups) ResolveNow(resolver.ResolveNowOptions) {
	signal(l.wanted)
}

func (l *lookups) Close() {
	l.cancel()
	<-l.ended
}

func (l *lookups) run(ctx context.Context) {
	defer close(l.ended)
	var again <-chan time.Time
	for {
		select {
		case <-l.wanted:
		case <-again:
		case <-ctx.Done():
			return
		}
		again = nil
		if err := l.lookUp(ctx); err != nil {
			l.conn.ReportError(err)
			again = time.After(lookupInterval)
		}
		select {
		case <-time.After(minLookupInterval):
		case <-ctx.Done():
			return
		}
	}
}

func (l *lookups) lookUp(ctx context.Context) error {
	l.mu.Lock()
	l.last = time.Now()
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	found, err := lookupHost(ctx, l.host)
	if err != nil {
		return err
	}
	addresses := make([]resolver.Address, len(found))
	for index, host := range found {
		addresses[index].Addr = net.JoinHostPort(host, l.port)
	}
	// gRPC reports what it cannot do with the addresses on the calls.
	_ = l.conn.UpdateState(resolver.State{Addresses: addresses})
	return nil
}
