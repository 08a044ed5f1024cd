// Package fetchd fetches lists of URLs through a fetchd service.
//
// The service runs the requests of a list concurrently and sends each result as
// it arrives:
//
//	client, err := fetchd.New("localhost:50051")
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	for _, result := range client.Fetch(ctx, fetchd.Get(urls...)) {
//		if result.Err != nil {
//			log.Printf("%s: %v", result.Request.URL, result.Err)
//			continue
//		}
//		log.Printf("%s: %d", result.Request.URL, result.Response.StatusCode)
//	}
//
// [Client.FetchAll] returns the results in the order of the requests,
// [Client.FetchSeq] takes requests from an iterator of any length, and
// [Client.Stream] returns the body of one request as it arrives. An existing
// [net/http.Client] sends its requests through the service with
// [Client.RoundTripper] as its Transport.
//
// Every request gets exactly one result. If a service is lost, drains or is
// full, its requests are sent again, to another one if there are several. The
// exception are requests that may have reached their origin and are not
// idempotent. They fail with [ReasonServiceLost] instead.
package fetchd
