package fetchd_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestHTTPClientFollowsRedirects(t *testing.T) {
	server := origin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/from" {
			http.Redirect(w, r, "/to", http.StatusFound)
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, body)
	})
	httpClient := &http.Client{Transport: newClient(t, serve(t).address).RoundTripper()}
	response, err := httpClient.Get(server.URL + "/from")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || string(body) != "GET /to " || response.Request.URL.Path != "/to" {
		t.Errorf("got %q from %s, %v", body, response.Request.URL, err)
	}
	response, err = httpClient.Post(server.URL+"/post", "text/plain", strings.NewReader("sent"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	if err != nil || string(body) != "POST /post sent" || response.ContentLength != int64(len(body)) {
		t.Errorf("got %q of length %d, %v", body, response.ContentLength, err)
	}
}
