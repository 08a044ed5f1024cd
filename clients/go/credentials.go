package fetchd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	"google.golang.org/grpc/credentials"
)

// tlsFiles performs handshakes with certificates from files. It reads them for
// each connection, so that they can be replaced.
type tlsFiles struct {
	credentials.TransportCredentials
	config            *tls.Config
	ca, cert, keyFile string
}

func (f *tlsFiles) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	config, err := f.read()
	if err != nil {
		return nil, nil, err
	}
	return credentials.NewTLS(config).ClientHandshake(ctx, authority, conn)
}

func (f *tlsFiles) Clone() credentials.TransportCredentials {
	clone := *f
	clone.TransportCredentials = f.TransportCredentials.Clone()
	return &clone
}

// read returns the configuration with the present contents of the files.
func (f *tlsFiles) read() (*tls.Config, error) {
	config := f.config.Clone()
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("fetchd: WithCAFile: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("fetchd: WithCAFile: expected a file of PEM certificates, got %q", f.ca)
		}
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.keyFile)
		if err != nil {
			return nil, fmt.Errorf("fetchd: WithCertificateFiles: expected PEM files of a certificate and its key, got %q and %q: %w", f.cert, f.keyFile, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// A tokenSource sends a token with each call.
type tokenSource func(context.Context) (string, error)

func (t tokenSource) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	token, err := t(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// RequireTransportSecurity returns false, because a proxy beside the caller may
// encrypt the connection.
func (tokenSource) RequireTransportSecurity() bool { return false }

func fixedToken(token string) tokenSource {
	return func(context.Context) (string, error) { return token, checkToken(token) }
}

// tokenFile reads the token for each call. While the file has none, because it
// is being replaced, the last one is used.
func tokenFile(path string) tokenSource {
	var mu sync.Mutex
	var last string
	return func(context.Context) (string, error) {
		content, err := os.ReadFile(path)
		token := strings.TrimSpace(string(content))
		if err == nil {
			err = checkToken(token)
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			last = token
		case last == "":
			return "", fmt.Errorf("expected a file that contains a token and nothing else, got %q: %w", path, err)
		}
		return last, nil
	}
}

const maxToken = 4096

var errToken = errors.New("expected a token of up to 4096 visible ASCII characters")

// checkToken never shows the token.
func checkToken(token string) error {
	isInvisible := func(char rune) bool { return char <= ' ' || char > '~' }
	if token == "" || len(token) > maxToken || strings.ContainsFunc(token, isInvisible) {
		return errToken
	}
	return nil
}
