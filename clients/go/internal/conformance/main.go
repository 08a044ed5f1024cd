// Command conformance runs the jobs of the conformance suite: one job a line of
// standard input, one answer a line of standard output.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	fetchd "github.com/fetchd/fetchd/clients/go"
)

type job struct {
	Endpoints []string
	TLS       *struct{ CA, Cert, Key string }
	Token     *string
	TokenFile *string  `json:"token_file"`
	GiveUp    *float64 `json:"give_up_after"`
	Silence   *float64 `json:"silence_timeout"`

	Mode        string
	Concurrency *int
	Timeout     *float64
	Options     options
	Requests    []request
	StopAfter   *int     `json:"stop_after"`
	CancelAfter *float64 `json:"cancel_after"`
	Metadata    map[string]string
}

type options struct {
	Timeout        *float64
	IdleTimeout    *float64 `json:"idle_timeout"`
	ConnectTimeout *float64 `json:"connect_timeout"`
	MaxRedirects   *int     `json:"max_redirects"`
	MaxBodyBytes   *int64   `json:"max_body_bytes"`
	Truncate       bool
	MaxAttempts    *int `json:"max_attempts"`
}

type request struct {
	URL     string
	Method  string
	Headers [][2]string
	Body    []byte `json:"body_base64"`
	options
}

type answer struct {
	Results      []result `json:"results"`
	Order        []int    `json:"order,omitempty"`
	Chunks       int      `json:"chunks,omitempty"`
	LargestChunk int      `json:"largest_chunk,omitempty"`
	CancelledAt  float64  `json:"cancelled_at,omitempty"`
	Failure      *failure `json:"failure"`
}

type result struct {
	Index     int         `json:"index"`
	Status    *int        `json:"status"`
	Headers   [][2]string `json:"headers"`
	Size      int64       `json:"size"`
	SHA256    string      `json:"sha256"`
	URL       string      `json:"url"`
	Version   string      `json:"version"`
	Attempts  int         `json:"attempts"`
	Redirects int         `json:"redirects"`
	Truncated bool        `json:"truncated"`
	Error     *failure    `json:"error"`
}

type failure struct {
	Name      string `json:"name"`
	Message   string `json:"message"`
	Retryable bool   `json:"retryable"`
	Code      string `json:"code,omitempty"`
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	answers.SetEscapeHTML(false)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var job job
			if err := json.Unmarshal(line, &job); err != nil {
				fail(err)
			}
			if err := answers.Encode(run(&job)); err != nil {
				fail(err)
			}
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			fail(err)
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "conformance:", err)
	os.Exit(1)
}

func run(job *job) *answer {
	answer := &answer{Results: []result{}}
	client, err := newClient(job)
	if err != nil {
		answer.Failure = newFailure(err)
		return answer
	}
	defer client.Close()
	requests := make([]fetchd.Request, len(job.Requests))
	for index, request := range job.Requests {
		requests[index] = request.convert()
	}
	ctx := context.Background()
	for name, value := range job.Metadata {
		ctx = metadata.AppendToOutgoingContext(ctx, name, value)
	}
	switch job.Mode {
	case "stream":
		answer.stream(ctx, client, job, requests[0])
	case "arrive":
		answer.arrive(ctx, client, job, requests)
	default:
		answer.collect(ctx, client, job, requests)
	}
	return answer
}

func newClient(job *job) (*fetchd.Client, error) {
	options := []fetchd.Option{fetchd.WithFetchOptions(job.fetchOptions()...)}
	if job.TLS != nil {
		options = append(options, fetchd.WithTLS(&tls.Config{}), fetchd.WithCAFile(job.TLS.CA))
		if job.TLS.Cert != "" {
			options = append(options, fetchd.WithCertificateFiles(job.TLS.Cert, job.TLS.Key))
		}
	}
	if job.Token != nil {
		options = append(options, fetchd.WithToken(*job.Token))
	}
	if job.TokenFile != nil {
		options = append(options, fetchd.WithTokenFile(*job.TokenFile))
	}
	if job.GiveUp != nil {
		options = append(options, fetchd.WithGiveUpAfter(seconds(*job.GiveUp)))
	}
	if job.Silence != nil {
		options = append(options, fetchd.WithSilenceTimeout(seconds(*job.Silence)))
	}
	return fetchd.New(strings.Join(job.Endpoints, ","), options...)
}

func (j *job) fetchOptions() []fetchd.FetchOption {
	options := []fetchd.FetchOption{fetchd.WithRequestDefaults(j.Options.convert())}
	if j.Concurrency != nil {
		options = append(options, fetchd.WithConcurrency(*j.Concurrency))
	}
	if j.Timeout != nil {
		options = append(options, fetchd.WithTimeout(seconds(*j.Timeout)))
	}
	return options
}

func (o options) convert() fetchd.Options {
	var converted fetchd.Options
	for _, limit := range []struct {
		from *float64
		to   *time.Duration
	}{
		{o.Timeout, &converted.Timeout},
		{o.IdleTimeout, &converted.IdleTimeout},
		{o.ConnectTimeout, &converted.ConnectTimeout},
	} {
		if limit.from != nil {
			*limit.to = seconds(*limit.from)
		}
	}
	// 0 is the default in Go, and a negative number means none.
	if o.MaxRedirects != nil {
		converted.MaxRedirects = *o.MaxRedirects
		if converted.MaxRedirects == 0 {
			converted.MaxRedirects = -1
		}
	}
	if o.MaxBodyBytes != nil {
		converted.MaxBodyBytes = *o.MaxBodyBytes
		if converted.MaxBodyBytes == 0 {
			converted.MaxBodyBytes = -1
		}
	}
	if o.MaxAttempts != nil {
		converted.MaxAttempts = *o.MaxAttempts
	}
	converted.Truncate = o.Truncate
	return converted
}

func (r *request) convert() fetchd.Request {
	header := http.Header{}
	for _, line := range r.Headers {
		header[line[0]] = append(header[line[0]], string(fromLatin1(line[1])))
	}
	return fetchd.Request{URL: r.URL, Method: r.Method, Header: header, Body: r.Body, Options: r.options.convert()}
}

func (a *answer) collect(ctx context.Context, client *fetchd.Client, job *job, requests []fetchd.Request) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if job.CancelAfter != nil {
		time.AfterFunc(seconds(*job.CancelAfter), func() {
			a.CancelledAt = now()
			cancel()
		})
	}
	results := client.FetchAll(ctx, requests)
	for _, result := range results {
		a.Results = append(a.Results, newResult(result))
	}
}

func (a *answer) arrive(ctx context.Context, client *fetchd.Client, job *job, requests []fetchd.Request) {
	a.Order = []int{}
	for index, result := range client.FetchSeq(ctx, slices.Values(requests)) {
		a.Order = append(a.Order, index)
		a.Results = append(a.Results, newResult(result))
		if job.StopAfter != nil && len(a.Order) == *job.StopAfter {
			a.CancelledAt = now()
			break
		}
	}
}

func (a *answer) stream(ctx context.Context, client *fetchd.Client, job *job, request fetchd.Request) {
	response, err := client.Stream(ctx, request)
	if err != nil {
		a.Results = append(a.Results, newResult(fetchd.Result{Err: err}))
		return
	}
	defer response.Body.Close()
	hash := sha256.New()
	buffer := make([]byte, 64<<10)
	var size int64
	for err == nil && (job.StopAfter == nil || a.Chunks < *job.StopAfter) {
		var count int
		count, err = response.Body.Read(buffer)
		hash.Write(buffer[:count])
		size += int64(count)
		a.LargestChunk = max(a.LargestChunk, count)
		if count > 0 {
			a.Chunks++
		}
	}
	if err == nil {
		a.CancelledAt = now()
	}
	if err == io.EOF {
		err = nil
	}
	stats, _ := fetchd.StatsOf(response)
	result := newResult(fetchd.Result{
		Response: &fetchd.Response{
			StatusCode: response.StatusCode,
			Header:     response.Header,
			URL:        response.Request.URL.String(),
			Proto:      response.Proto,
		},
		Err:   err,
		Stats: stats,
	})
	result.Size, result.SHA256 = size, hex.EncodeToString(hash.Sum(nil))
	a.Results = append(a.Results, result)
}

func newResult(from fetchd.Result) result {
	to := result{
		Index:     from.Index,
		Headers:   [][2]string{},
		Attempts:  from.Stats.Attempts,
		Redirects: from.Stats.Redirects,
		Truncated: from.Stats.Truncated,
	}
	if from.Err != nil {
		to.Error = newFailure(from.Err)
	}
	var body []byte
	if response := from.Response; response != nil {
		to.Status, to.URL, to.Version = &response.StatusCode, response.URL, response.Proto
		body = response.Body
		for name, values := range response.Header {
			for _, value := range values {
				to.Headers = append(to.Headers, [2]string{strings.ToLower(name), toLatin1([]byte(value))})
			}
		}
	}
	hash := sha256.Sum256(body)
	to.Size, to.SHA256 = int64(len(body)), hex.EncodeToString(hash[:])
	return to
}

func newFailure(err error) *failure {
	var known *fetchd.Error
	if !errors.As(err, &known) {
		return &failure{Message: err.Error()}
	}
	return &failure{
		Name:      string(known.Reason),
		Message:   known.Message,
		Retryable: known.Retryable,
		Code:      known.Code.String(),
	}
}

func fromLatin1(text string) []byte {
	var bytes []byte
	for _, char := range text {
		bytes = append(bytes, byte(char))
	}
	return bytes
}

func toLatin1(bytes []byte) string {
	chars := make([]rune, len(bytes))
	for index, char := range bytes {
		chars[index] = rune(char)
	}
	return string(chars)
}

func seconds(value float64) time.Duration {
	return time.Duration(value * float64(time.Second))
}

func now() float64 {
	return float64(time.Now().UnixMicro()) / 1e6
}
