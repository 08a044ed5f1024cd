package fetchd_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// raw answers with these bytes.
func raw(w http.ResponseWriter, response string) {
	conn, buffer, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	io.WriteString(buffer, response)
	buffer.Flush()
}

func gzipped(text string) []byte {
	var buffer bytes.Buffer
	writer := gzip.NewWriter(&buffer)
	io.WriteString(writer, text)
	writer.Close()
	return buffer.Bytes()
}

// pages are responses of an origin, by path.
var pages = map[string]http.HandlerFunc{
	"/short": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "short")
	},
	"/empty": func(w http.ResponseWriter, _ *http.Request) {},
	"/chunked": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		io.WriteString(w, "second")
	},
	"/trailer": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "with a trailer")
		w.Header().Set("X-Sum", "7")
	},
	"/large": func(w http.ResponseWriter, _ *http.Request) {
		w.Write(bytes.Repeat([]byte("large"), 100_000))
	},
	"/gzip": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(gzipped("compressed"))
			return
		}
		io.WriteString(w, "identity")
	},
	"/deflate": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "deflate")
		io.WriteString(w, "not asked for")
	},
	"/bad-gzip": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		io.WriteString(w, "not gzip")
	},
	"/no-content": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	},
	"/not-modified": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Etag", `"tag"`)
		w.WriteHeader(http.StatusNotModified)
	},
	"/error": func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "broken", http.StatusServiceUnavailable)
	},
	"/redirect": func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/short", http.StatusFound)
	},
	"/cookies": func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
		http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
	},
	"/latin1": func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X-Name"] = []string{"caf\xe9", "two"}
	},
	"/range": func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("0123456789"))
	},
	"/unusual": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(299)
	},
	"/early-hints": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "late")
	},
	"/http10": func(w http.ResponseWriter, _ *http.Request) {
		raw(w, "HTTP/1.0 200 OK\r\nX-Version: 1.0\r\n\r\nuntil the end")
	},
	// What the origin has received.
	"/request": func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Header.Del("User-Agent")
		if r.Header.Get("Accept") == "*/*" {
			r.Header.Del("Accept") // The service adds it.
		}
		fmt.Fprintf(w, "%s %s %s\n%q\n%s", r.Method, r.RequestURI, r.Host, r.Header, body)
	},
}

// The same request gets the same response as with http.Transport.
func TestRoundTripperIsLikeTransport(t *testing.T) {
	server := origin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		pages[r.URL.Path](w, r)
	})
	through := newClient(t, serve(t).address).RoundTripper()
	for path := range pages {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
			for _, header := range []http.Header{
				{},
				{"Accept-Encoding": {"gzip"}},
				{"Range": {"bytes=2-4"}},
				{"X-Several": {"one", "two"}, "Accept": {"text/html, */*"}, "Cookie": {"a=1; b=2"}},
				{"Host": {"ignored"}, "Content-Length": {"99"}, "Connection": {"close"}},
			} {
				body := ""
				if method[0] == 'P' {
					body = "sent"
				}
				name := fmt.Sprintf("%s %s %v", method, path, header)
				if path == "/http10" && method == "HEAD" {
					continue // This origin sends a body.
				}
				send := func(transport http.RoundTripper) string {
					url := server.URL + path + "?query=%41&empty="
					request, err := http.NewRequest(method, url, strings.NewReader(body))
					if err != nil {
						t.Fatal(err)
					}
					request.Header = header.Clone()
					return describe(transport.RoundTrip(request))
				}
				want, got := send(http.DefaultTransport), send(through)
				if path == "/request" && method == "HEAD" || path == "/request" && header.Get("Connection") != "" {
					// The service keeps its connections, and refuses other names.
					continue
				}
				if got != want {
					t.Errorf("%s: got\n%s\nand with http.Transport\n%s", name, got, want)
				}
			}
		}
	}
}

// describe returns all of a response as text.
func describe(response *http.Response, err error) string {
	if err != nil {
		return fmt.Sprintf("error: %v", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	_, hasBytes := response.Body.Read(make([]byte, 1))
	// The service does not report the phrase of the status line.
	return fmt.Sprintf("%d, %s %d.%d\n%q\nlength %d %q, uncompressed %t\n%q, %v, %v",
		response.StatusCode, response.Proto, response.ProtoMajor, response.ProtoMinor,
		response.Header, response.ContentLength, response.TransferEncoding, response.Uncompressed, body, err, hasBytes)
}
