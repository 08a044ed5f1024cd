package fetchd_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	fetchd "github.com/fetchd/fetchd/clients/go"
)

// rounds is how often services are stopped. FETCHD_TEST_ROUNDS changes it.
func rounds() int {
	if rounds, err := strconv.Atoi(os.Getenv("FETCHD_TEST_ROUNDS")); err == nil {
		return rounds
	}
	return 3
}

// A counter is an origin that counts its requests, and how often it has received
// each POST.
type counter struct {
	url   string
	seen  atomic.Int64
	mu    sync.Mutex
	posts map[string]int
}

func newCounter(t testing.TB) *counter {
	counter := &counter{posts: map[string]int{}}
	counter.url = originURL(t, func(w http.ResponseWriter, r *http.Request) {
		counter.seen.Add(1)
		if r.Method == "POST" {
			counter.mu.Lock()
			counter.posts[r.URL.Path]++
			counter.mu.Unlock()
		}
		time.Sleep(10 * time.Millisecond)
		fmt.Fprint(w, "there")
	})
	return counter
}

// waitFor waits until the origin has seen count requests.
func (c *counter) waitFor(count int64) {
	for c.seen.Load() < count {
		time.Sleep(time.Millisecond)
	}
}

// Services are killed and drained while they fetch. No GET is lost, and no POST
// is sent twice.
func TestNoRequestIsLostIfServicesStop(t *testing.T) {
	const count = 2000
	origin := newCounter(t)
	lost := 0
	for round := range rounds() {
		var services []*process
		var addresses []string
		for range 3 {
			service := serve(t, "--drain-timeout", "0s")
			services = append(services, service)
			addresses = append(addresses, service.address)
		}
		client := newClient(t, strings.Join(addresses, ","))
		list := make([]fetchd.Request, count)
		for index := range list {
			list[index].URL = fmt.Sprintf("%s/%d/%d", origin.url, round, index)
			if index%10 == 0 {
				list[index].Method, list[index].Body = "POST", []byte("once")
			}
		}
		before := origin.seen.Load()
		go func() {
			percent := int64(round * 19 % 80)
			origin.waitFor(before + count*percent/100)
			services[0].signal(syscall.SIGKILL)
			origin.waitFor(before + count*(percent+int64(round*12%20))/100)
			services[1].signal(syscall.SIGTERM)
		}()
		seen := make([]bool, count)
		for index, result := range client.FetchSeq(testContext(t), slices.Values(list), fetchd.WithConcurrency(200)) {
			if seen[index] {
				t.Errorf("round %d: a second result of %d", round, index)
			}
			seen[index] = true
			if result.Err == nil {
				continue
			}
			// Only a POST may fail, since its origin may have seen it.
			reason := failureOf(t, result.Err).Reason
			if index%10 != 0 || reason != fetchd.ReasonServiceLost && reason != fetchd.ReasonShuttingDown {
				t.Errorf("round %d: result %d: %v", round, index, result.Err)
			}
			lost++
		}
		if index := slices.Index(seen, false); index >= 0 {
			t.Errorf("round %d: no result of %d", round, index)
		}
	}
	for path, times := range origin.posts {
		if times != 1 {
			t.Errorf("%s was received %d times", path, times)
		}
	}
	t.Logf("%d POSTs lost, %d received, none twice", lost, len(origin.posts))
}

// A service that is restarted gets the rest of the list.
func TestListGoesOnAfterARestart(t *testing.T) {
	origin := newCounter(t)
	service := serve(t, "--drain-timeout", "0s")
	client := newClient(t, service.address)
	list := make([]string, 400)
	for index := range list {
		list[index] = fmt.Sprintf("%s/%d", origin.url, index)
	}
	go func() {
		origin.waitFor(100)
		service.signal(syscall.SIGKILL)
		service.command.Wait()
		serveAt(t, service.address)
	}()
	begun := time.Now()
	for index, result := range client.FetchAll(testContext(t), fetchd.Get(list...)) {
		if result.Err != nil {
			t.Errorf("result %d: %v", index, result.Err)
		}
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestUnreachableEndpointIsNotUsed(t *testing.T) {
	server := origin(t, echo)
	client := newClient(t, "127.0.0.1:1, "+serve(t).address)
	begun := time.Now()
	for range 20 {
		results := client.FetchAll(testContext(t), []fetchd.Request{{URL: server.URL, Method: "POST"}})
		if results[0].Err != nil {
			t.Fatal(results[0].Err)
		}
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("it took %v", took)
	}
}

// A service takes requests again once it has room.
func TestFullServiceIsAskedAgain(t *testing.T) {
	server := origin(t, echo)
	service := serve(t, "--max-batches", "1")
	first := newClient(t, service.address)
	second := newClient(t, service.address)
	stalling := newStalling(t)
	response, err := first.Stream(testContext(t), fetchd.Request{URL: stalling.url + "/body"})
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(200*time.Millisecond, func() { response.Body.Close() })
	results := second.FetchAll(testContext(t), []fetchd.Request{{URL: server.URL, Method: "POST"}})
	if results[0].Err != nil {
		t.Error(results[0].Err)
	}
}
