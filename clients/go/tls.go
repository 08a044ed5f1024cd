package fetchd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"sync/atomic"

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
	var isAsked atomic.Bool
	if len(config.Certificates) == 0 && config.GetClientCertificate == nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			isAsked.Store(true)
			return &tls.Certificate{}, nil
		}
	}
	encrypted, info, err := credentials.NewTLS(config).ClientHandshake(ctx, authority, conn)
	if err == nil && isAsked.Load() {
		encrypted = &anonymousConn{Conn: encrypted}
	}
	return encrypted, info, err
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

// An anonymousConn has no certificate although the service has asked for one. In
// TLS 1.3, a service that insists closes the connection after the handshake, and
// its reason may be lost.
type anonymousConn struct {
	net.Conn
	isAccepted atomic.Bool
}

func (c *anonymousConn) Read(p []byte) (int, error) {
	count, err := c.Conn.Read(p)
	if err == nil {
		c.isAccepted.Store(true)
	}
	return count, c.explain(err)
}

func (c *anonymousConn) Write(p []byte) (int, error) {
	count, err := c.Conn.Write(p)
	return count, c.explain(err)
}

func (c *anonymousConn) explain(err error) error {
	if err == nil || c.isAccepted.Load() {
		return err
	}
	return fmt.Errorf("the service asked for a certificate, and there is none (WithCertificateFiles): %w", err)
}
