package fetchd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// An Option is a setting of a [Client].
type Option func(*settings) error

type settings struct {
	giveUpAfter    time.Duration
	silenceTimeout time.Duration
	tlsConfig      *tls.Config
	caFile         string
	certFile       string
	keyFile        string
	token          tokenSource
	dial           []grpc.DialOption
	fetch          []FetchOption
}

const (
	defaultGiveUpAfter    = 30 * time.Second
	defaultSilenceTimeout = 30 * time.Second
	keepaliveInterval     = 10 * time.Second
	keepaliveTimeout      = 5 * time.Second
	connectTimeout        = 5 * time.Second
	minReconnectBackoff   = 100 * time.Millisecond
	maxReconnectBackoff   = 5 * time.Second
	// streamWindow is the unread data that a call may have, in bytes.
	streamWindow = 2 << 20
	// connWindow is large, so that a call which nobody reads does not block the
	// others on its connection.
	connWindow = 1 << 30
	// readBuffer saves system calls: the service sends messages of 256 KiB.
	readBuffer = 128 << 10
)

func defaultSettings() settings {
	return settings{giveUpAfter: defaultGiveUpAfter, silenceTimeout: defaultSilenceTimeout}
}

// WithGiveUpAfter sets how long the client keeps trying if no service answers.
// Then the remaining requests end with [ReasonServiceLost]. If the services are
// full, it waits four times as long. Default 30 s.
func WithGiveUpAfter(duration time.Duration) Option {
	return func(s *settings) error {
		s.giveUpAfter = duration
		return checkPositive("WithGiveUpAfter", duration)
	}
}

// WithSilenceTimeout sets how long a service may send nothing on a call before
// its requests are sent to another one. A service without results sends an
// empty message every 10 s, so keep it well above that. Default 30 s.
func WithSilenceTimeout(duration time.Duration) Option {
	return func(s *settings) error {
		s.silenceTimeout = duration
		return checkPositive("WithSilenceTimeout", duration)
	}
}

// WithTLS sets up TLS for addresses with https or without a scheme. Default for
// https: the system's root certificates.
func WithTLS(config *tls.Config) Option {
	return func(s *settings) error {
		if config == nil {
			return errors.New("fetchd: WithTLS: expected a configuration, got nil")
		}
		s.tlsConfig = config.Clone()
		return nil
	}
}

// WithCAFile trusts the PEM certificates in a file instead of the system's. Like
// [WithTLS], it sets up TLS. The file is read again for each connection.
func WithCAFile(path string) Option {
	return func(s *settings) error {
		s.caFile = path
		return checkPath("WithCAFile", path)
	}
}

// WithCertificateFiles proves the identity of the caller with a certificate and
// its key, from PEM files. Like [WithTLS], it sets up TLS. The files are read
// again for each connection.
func WithCertificateFiles(cert, key string) Option {
	return func(s *settings) error {
		s.certFile, s.keyFile = cert, key
		return errors.Join(checkPath("WithCertificateFiles", cert), checkPath("WithCertificateFiles", key))
	}
}

// WithToken sends a token with each call, as "authorization: Bearer TOKEN". It
// works without TLS too, since a proxy beside the caller may encrypt the
// connection.
func WithToken(token string) Option {
	return withTokenSource("WithToken", fixedToken(token))
}

// WithTokenFile is like [WithToken], with a file that contains the token. It is
// read again for each call. While it contains no token, because it is being
// replaced, the client uses the last one.
func WithTokenFile(path string) Option {
	return withTokenSource("WithTokenFile", tokenFile(path))
}

func withTokenSource(name string, source tokenSource) Option {
	return func(s *settings) error {
		s.token = source
		if _, err := source(context.Background()); err != nil {
			return fmt.Errorf("fetchd: %s: %w", name, err)
		}
		return nil
	}
}

// WithFetchOptions sets options for all lists and requests of the client. Those
// of a single list come after them.
func WithFetchOptions(options ...FetchOption) Option {
	return func(s *settings) error {
		s.fetch = append(s.fetch, options...)
		var list listSettings
		list.apply(options)
		if err := list.check(); err != nil {
			return fmt.Errorf("fetchd: %s", err.Message)
		}
		return nil
	}
}

// WithDialOptions adds options of gRPC, for example interceptors. They come
// after those of the client.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) error {
		s.dial = append(s.dial, options...)
		return nil
	}
}

func (s *settings) usesTLS() bool {
	return s.tlsConfig != nil || s.caFile != "" || s.certFile != ""
}

// dialOptions returns the options for addresses without and with TLS.
func (s *settings) dialOptions(addresses []address) (plain, encrypted []grpc.DialOption, err error) {
	hasTLS := slices.ContainsFunc(addresses, func(a address) bool { return a.isTLS })
	if s.usesTLS() && !hasTLS {
		return nil, nil, errors.New("fetchd: WithTLS, WithCAFile and WithCertificateFiles: expected an address with https, got only http")
	}
	config := s.tlsConfig
	if config == nil {
		config = &tls.Config{}
	}
	files := &tlsFiles{credentials.NewTLS(config), config, s.caFile, s.certFile, s.keyFile}
	if _, err := files.read(); err != nil {
		return nil, nil, err
	}
	common := []grpc.DialOption{
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`),
		grpc.WithDisableServiceConfig(),
		// It would send requests again that must not be sent twice. Calls that
		// have not left are sent again all the same.
		grpc.WithDisableRetry(),
		grpc.WithNoProxy(),
		grpc.WithUserAgent("fetchd-go/" + Version),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time:                keepaliveInterval,
			Timeout:             keepaliveTimeout,
			PermitWithoutStream: true,
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay:  minReconnectBackoff,
				Multiplier: backoff.DefaultConfig.Multiplier,
				Jitter:     backoff.DefaultConfig.Jitter,
				MaxDelay:   maxReconnectBackoff,
			},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connWindow),
		grpc.WithReadBufferSize(readBuffer),
	}
	if s.token != nil {
		common = append(common, grpc.WithPerRPCCredentials(s.token))
	}
	with := func(transport credentials.TransportCredentials) []grpc.DialOption {
		return slices.Concat(common, []grpc.DialOption{grpc.WithTransportCredentials(transport)}, s.dial)
	}
	return with(insecure.NewCredentials()), with(files), nil
}

func checkPositive(name string, duration time.Duration) error {
	if duration <= 0 {
		return fmt.Errorf("fetchd: %s: expected a duration greater than 0, got %v", name, duration)
	}
	return nil
}

func checkPath(name, path string) error {
	if path == "" {
		return fmt.Errorf("fetchd: %s: expected the path of a file, got an empty one", name)
	}
	return nil
}
