package fetchd

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// An address is where a service listens.
type address struct {
	// hostPort has the host and the port, for example "localhost:50051".
	hostPort string
	isTLS    bool
}

const expectedAddress = `expected an address such as "localhost:50051", "http://localhost:50051" or "https://fetchd.example"`

// parseAddresses reads a comma-separated list of addresses. With useTLS, an
// address without a scheme uses TLS.
func parseAddresses(text string, useTLS bool) ([]address, error) {
	var all []address
	for part := range strings.SplitSeq(text, ",") {
		address, err := parseAddress(strings.TrimSpace(part), useTLS)
		if err != nil {
			return nil, err
		}
		all = append(all, address)
	}
	return all, nil
}

func parseAddress(text string, useTLS bool) (address, error) {
	if !strings.Contains(text, "://") {
		host, port, err := net.SplitHostPort(text)
		if err != nil || !isHostPort(host, port) {
			return address{}, wrongAddress(text)
		}
		return address{net.JoinHostPort(host, port), useTLS}, nil
	}
	parsed, err := url.Parse(text)
	if err != nil {
		return address{}, wrongAddress(text)
	}
	port := parsed.Port()
	isTLS := parsed.Scheme == "https"
	switch {
	case strings.HasSuffix(parsed.Host, ":"):
		return address{}, wrongAddress(text)
	case port == "" && isTLS:
		port = "443"
	case port == "":
		port = "50051"
	}
	rest := *parsed
	rest.Scheme, rest.Host, rest.Path = "", "", strings.TrimPrefix(parsed.Path, "/")
	if !isTLS && parsed.Scheme != "http" || rest != (url.URL{}) || !isHostPort(parsed.Hostname(), port) {
		return address{}, wrongAddress(text)
	}
	return address{net.JoinHostPort(parsed.Hostname(), port), isTLS}, nil
}

func isHostPort(host, port string) bool {
	number, err := strconv.ParseUint(port, 10, 16)
	return err == nil && number > 0 && host != "" && !strings.ContainsAny(host, "/@?# ")
}

// wrongAddress does not show what may be a password.
func wrongAddress(text string) error {
	if strings.Contains(text, "@") {
		return fmt.Errorf("fetchd: %s, without user and password", expectedAddress)
	}
	return fmt.Errorf("fetchd: %s, got %q", expectedAddress, text)
}
