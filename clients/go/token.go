package fetchd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

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
