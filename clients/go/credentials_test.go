package fetchd_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	fetchd "github.com/fetchd/fetchd/clients/go"
)

// An authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// file has its certificate.
	file string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	template := &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	authority := &authority{key: newKey(t)}
	authority.file = authority.issue(t, template, template, authority.key, filepath.Join(t.TempDir(), "ca"))
	return authority
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// pair writes a certificate and its key for a service or a caller on this
// machine, and returns the paths.
func (a *authority) pair(t testing.TB, name string) (cert, key string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	template := &x509.Certificate{
		DNSNames:    []string{"localhost", name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	private := newKey(t)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key = path + ".key"
	writePEM(t, key, "PRIVATE KEY", der)
	return a.issue(t, template, a.cert, private, path), key
}

func (a *authority) issue(t testing.TB, template, parent *x509.Certificate, key *ecdsa.PrivateKey, path string) string {
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: filepath.Base(path)}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if template == parent {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
	}
	writePEM(t, path+".crt", "CERTIFICATE", der)
	return path + ".crt"
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	write(t, path, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// fetchOne fetches a page and returns its error.
func fetchOne(t testing.TB, client *fetchd.Client, url string) error {
	return client.FetchAll(testContext(t), fetchd.Get(url))[0].Err
}

func TestMutualTLS(t *testing.T) {
	page := originURL(t, echo)
	authority := newAuthority(t)
	cert, key := authority.pair(t, "service")
	service := serve(t, "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", authority.file)
	ownCert, ownKey := authority.pair(t, "caller")
	pair, err := tls.LoadX509KeyPair(ownCert, ownKey)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority.cert)
	giveUp := fetchd.WithGiveUpAfter(200 * time.Millisecond)
	_, port, _ := net.SplitHostPort(service.address)
	for name, test := range map[string]struct {
		address string
		options []fetchd.Option
		problem string
	}{
		"files": {
			"https://" + service.address,
			[]fetchd.Option{fetchd.WithCAFile(authority.file), fetchd.WithCertificateFiles(ownCert, ownKey)},
			"",
		},
		"a name": {
			"https://localhost:" + port,
			[]fetchd.Option{fetchd.WithCAFile(authority.file), fetchd.WithCertificateFiles(ownCert, ownKey)},
			"",
		},
		"a configuration": {
			service.address,
			[]fetchd.Option{fetchd.WithTLS(&tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}})},
			"",
		},
		"no certificate": {
			service.address,
			[]fetchd.Option{fetchd.WithCAFile(authority.file), giveUp},
			"the service asked for a certificate, and there is none (WithCertificateFiles)",
		},
		"another authority": {
			service.address,
			[]fetchd.Option{fetchd.WithCAFile(newAuthority(t).file), giveUp},
			"certificate signed by unknown authority",
		},
		"no TLS": {service.address, []fetchd.Option{giveUp}, service.address},
	} {
		err := fetchOne(t, newClient(t, test.address, test.options...), page)
		if test.problem == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		failure := failureOf(t, err)
		if failure.Reason != fetchd.ReasonServiceLost || !strings.Contains(failure.Message, test.problem) {
			t.Errorf("%s: got %v", name, failure)
		}
	}
}

// Files are read again for each connection.
func TestCertificateFilesMayBeReplaced(t *testing.T) {
	page := originURL(t, echo)
	first, second := newAuthority(t), newAuthority(t)
	cert, key := first.pair(t, "service")
	service := serve(t, "--tls-cert", cert, "--tls-key", key)
	file := filepath.Join(t.TempDir(), "ca.crt")
	text, _ := os.ReadFile(second.file)
	write(t, file, string(text))
	client := newClient(t, "https://"+service.address, fetchd.WithCAFile(file))
	time.AfterFunc(300*time.Millisecond, func() {
		text, _ := os.ReadFile(first.file)
		write(t, file, string(text))
	})
	if err := fetchOne(t, client, page); err != nil {
		t.Error(err)
	}
}

func TestTokens(t *testing.T) {
	page := originURL(t, echo)
	tokens := filepath.Join(t.TempDir(), "tokens")
	write(t, tokens, "caller right-token\n")
	service := serve(t, "--auth-token-file", tokens)
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, "right-token\n")
	fromFile := newClient(t, service.address, fetchd.WithTokenFile(file))
	for name, test := range map[string]struct {
		client *fetchd.Client
		isOK   bool
	}{
		"right": {newClient(t, service.address, fetchd.WithToken("right-token")), true},
		"wrong": {newClient(t, service.address, fetchd.WithToken("wrong-token")), false},
		"none":  {newClient(t, service.address), false},
		"file":  {fromFile, true},
	} {
		begun := time.Now()
		err := fetchOne(t, test.client, page)
		if test.isOK != (err == nil) || err != nil && failureOf(t, err).Code != codes.Unauthenticated {
			t.Errorf("%s: got %v", name, err)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("%s: it took %v", name, took)
		}
	}
	// A file that is being replaced has no token for a moment.
	write(t, file, "")
	if err := fetchOne(t, fromFile, page); err != nil {
		t.Errorf("an empty file: %v", err)
	}
	write(t, file, "wrong-token")
	if err := fetchOne(t, fromFile, page); err == nil {
		t.Error("the file is not read again")
	}
}

func TestInvalidSettings(t *testing.T) {
	folder := t.TempDir()
	empty := filepath.Join(folder, "empty")
	write(t, empty, "")
	cert, _ := newAuthority(t).pair(t, "a")
	_, otherKey := newAuthority(t).pair(t, "b")
	for _, test := range []struct {
		address string
		option  fetchd.Option
		message string
	}{
		{"localhost", fetchd.WithToken("a"), `expected an address such as "localhost:50051"`},
		{"a:1", fetchd.WithToken(""), "WithToken: expected a token of up to 4096 visible ASCII characters"},
		{"a:1", fetchd.WithToken("sec ret"), "WithToken: expected a token"},
		{"a:1", fetchd.WithToken(strings.Repeat("a", 4097)), "WithToken: expected a token"},
		{"a:1", fetchd.WithTokenFile(empty), "WithTokenFile: expected a file that contains a token and nothing else, got \"" + empty},
		{"a:1", fetchd.WithTokenFile(folder + "/none"), "WithTokenFile: expected a file"},
		{"a:1", fetchd.WithCAFile(""), "WithCAFile: expected the path of a file"},
		{"a:1", fetchd.WithCAFile(empty), "WithCAFile: expected a file of PEM certificates, got \"" + empty},
		{"a:1", fetchd.WithCAFile(folder + "/none"), "WithCAFile: open " + folder + "/none: no such file"},
		{"a:1", fetchd.WithCertificateFiles(cert, otherKey), "WithCertificateFiles: expected PEM files of a certificate and its key, got"},
		{"a:1", fetchd.WithCertificateFiles(cert, ""), "WithCertificateFiles: expected the path of a file"},
		{"a:1", fetchd.WithTLS(nil), "WithTLS: expected a configuration, got nil"},
		{"http://a:1", fetchd.WithTLS(&tls.Config{}), "expected an address with https, got only http"},
		{"a:1", fetchd.WithGiveUpAfter(0), "WithGiveUpAfter: expected a duration greater than 0, got 0s"},
		{"a:1", fetchd.WithSilenceTimeout(-1), "WithSilenceTimeout: expected a duration greater than 0, got -1ns"},
	} {
		_, err := fetchd.New(test.address, test.option)
		if err == nil || !strings.HasPrefix(err.Error(), "fetchd: ") || !strings.Contains(err.Error(), test.message) || strings.Contains(err.Error(), "sec ret") {
			t.Errorf("got %v, expected %q", err, test.message)
		}
	}
}
