package fetchd_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	fetchd "github.com/fetchd/fetchd/clients/go"
)

// Services behind a name are replaced by others, as in a rollout.
func TestNameWithOtherAddresses(t *testing.T) {
	first := serve(t)
	_, port, _ := net.SplitHostPort(first.address)
	second := serveAt(t, "127.0.0.2:"+port)
	var addresses atomic.Value
	addresses.Store([]string{"127.0.0.1", "127.0.0.3"})
	t.Cleanup(fetchd.SetLookup(func(_ context.Context, host string) ([]string, error) {
		if host != "service.example" {
			return nil, errors.New("another name")
		}
		return addresses.Load().([]string), nil
	}))
	page := originURL(t, echo)
	client, err := fetchd.New("service.example:" + port)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() // Before the look-up is reset.
	fetch := func(method string) {
		t.Helper()
		for range 20 {
			result := client.FetchAll(testContext(t), []fetchd.Request{{URL: page, Method: method}})[0]
			if result.Err != nil {
				t.Fatal(result.Err)
			}
		}
	}
	fetch("POST")
	addresses.Store([]string{"127.0.0.2"})
	first.signal(syscall.SIGKILL)
	first.command.Wait()
	begun := time.Now()
	fetch("GET")
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
	second.signal(syscall.SIGKILL)
}

// A name that cannot be looked up is looked up again.
func TestNameWithoutAddresses(t *testing.T) {
	t.Cleanup(fetchd.SetLookup(func(context.Context, string) ([]string, error) {
		return nil, errors.New("no such host")
	}))
	client, err := fetchd.New("service.example:50051", fetchd.WithGiveUpAfter(200*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	failure := failureOf(t, fetchOne(t, client, "http://origin.example/"))
	if failure.Reason != fetchd.ReasonServiceLost || !strings.Contains(failure.Message, "no such host") {
		t.Errorf("got %v", failure)
	}
}
