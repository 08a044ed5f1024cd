package fetchd_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"time"

	fetchd "github.com/fetchd/fetchd/clients/go"
)

func Example() {
	client, err := fetchd.New("localhost:50051")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	requests := fetchd.Get("https://example.com/", "https://go.dev/")
	for _, result := range client.Fetch(context.Background(), requests) {
		if result.Err != nil {
			log.Printf("%s: %v", result.Request.URL, result.Err)
			continue
		}
		fmt.Println(result.Request.URL, result.Response.StatusCode)
	}
}

func ExampleClient_FetchAll() {
	client, err := fetchd.New("localhost:50051")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	urls := []string{"https://example.com/", "https://go.dev/"}
	results := client.FetchAll(ctx, fetchd.Get(urls...), fetchd.WithConcurrency(100))
	for index, url := range urls {
		if results[index].Err == nil {
			fmt.Println(url, len(results[index].Response.Body))
		}
	}
}

// URLs may come from anywhere, for example from a file of any length.
func ExampleClient_FetchSeq() {
	client, err := fetchd.New("localhost:50051")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	file := strings.NewReader("https://example.com/\nhttps://go.dev/\n")
	requests := func(yield func(fetchd.Request) bool) {
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			if !yield(fetchd.Request{URL: lines.Text()}) {
				return
			}
		}
	}
	for index, result := range client.FetchSeq(context.Background(), requests) {
		fmt.Println(index, result.Request.URL, result.Err)
	}
}

func ExampleClient_RoundTripper() {
	client, err := fetchd.New("localhost:50051")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	httpClient := &http.Client{Transport: client.RoundTripper(), Timeout: 10 * time.Second}
	response, err := httpClient.Get("https://example.com/")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	fmt.Println(response.Status, len(body), err)
}

// A large body goes to its destination as it arrives.
func ExampleClient_Stream() {
	client, err := fetchd.New("localhost:50051")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	response, err := client.Stream(context.Background(), fetchd.Request{
		URL:     "https://example.com/large",
		Options: fetchd.Options{MaxBodyBytes: 1 << 30, Timeout: 10 * time.Minute},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	size, err := io.Copy(io.Discard, response.Body)
	stats, _ := fetchd.StatsOf(response)
	fmt.Println(size, err, stats.Total)
}

func ExampleError() {
	client, err := fetchd.New("127.0.0.1:1", fetchd.WithGiveUpAfter(100*time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	results := client.FetchAll(context.Background(), []fetchd.Request{
		{URL: "https://example.com/"},
		{URL: "https://example.com/", Options: fetchd.Options{Timeout: -1}},
	})
	for _, result := range results {
		var failure *fetchd.Error
		if errors.As(result.Err, &failure) {
			fmt.Println(failure.Reason, failure.Retryable, failure.Code)
		}
	}
	// Output:
	// SERVICE_LOST true Unavailable
	// INVALID_REQUEST false OK
}

func ExampleNew() {
	_, err := fetchd.New("localhost")
	fmt.Println(err)
	// Output:
	// fetchd: expected an address such as "localhost:50051", "http://localhost:50051" or "https://fetchd.example", got "localhost"
}
