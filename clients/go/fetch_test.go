package fetchd_test

import (
	"strconv"
	"testing"

	fetchd "github.com/fetchd/fetchd/clients/go"
)

func TestResultsAreInTheOrderOfTheRequests(t *testing.T) {
	server := origin(t, echo)
	client := newClient(t, serve(t).address)
	results := client.FetchAll(testContext(t), fetchd.Get(urls(server, 300)...))
	for index, result := range results {
		if result.Err != nil {
			t.Fatal(result.Err)
		}
		if got := string(result.Response.Body); result.Index != index || got != strconv.Itoa(index) {
			t.Fatalf("result %d has index %d and body %q", index, result.Index, got)
		}
	}
}
