package fetchd

import (
	"fmt"
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"localhost:50051":                 "[{localhost:50051 false}]",
		"http://localhost":                "[{localhost:50051 false}]",
		"http://localhost:80/":            "[{localhost:80 false}]",
		"https://fetchd.example":          "[{fetchd.example:443 true}]",
		"https://[::1]:50051":             "[{[::1]:50051 true}]",
		"[::1]:50051":                     "[{[::1]:50051 false}]",
		"a:1, http://b:2,https://c.d:443": "[{a:1 false} {b:2 false} {c.d:443 true}]",
	} {
		got, err := parseAddresses(text, false)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	if got, err := parseAddresses("a:1,http://b:2", true); err != nil || fmt.Sprint(got) != "[{a:1 true} {b:2 false}]" {
		t.Errorf("with TLS: got %v, %v", got, err)
	}
	for _, text := range []string{
		"", "localhost", ":1", "a:", "a:0", "a:65536", "a:b", "a:1,", "ftp://a", "http://", "http://a:", "http://a:99999",
		"http://a/path", "http://a?query", "http://a#part", "http://a b", "a/b:1", "http://%zz",
	} {
		if got, err := parseAddresses(text, false); err == nil || !strings.Contains(err.Error(), "expected an address such as") {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"http://user:secret@a:1", "user:secret@a:1", "http://user:se cret@a"} {
		if _, err := parseAddresses(text, false); err == nil || strings.Contains(err.Error(), "cret") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}
