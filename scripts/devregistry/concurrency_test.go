package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// Tags move, images come, and faults change while clients read. What is read is
// always whole.
func TestConcurrency(t *testing.T) {
	r := start(t)
	fill(t, r, "app", 20)
	c := client(t, r)
	var writing, reading sync.WaitGroup
	done := make(chan struct{})
	writing.Go(func() {
		for i := range 50 {
			drive(t, r, http.MethodPost, "/tags", fmt.Sprintf(`{"repository":"app","from":"v%d","tags":["latest","b%d"]}`, i%20, i))
			drive(t, r, http.MethodPut, "/faults", `[{"class":"blob","status":500}]`)
			drive(t, r, http.MethodPut, "/limit", `{"rps":100000,"burst":100000}`)
		}
	})
	for range 4 {
		reading.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for _, path := range []string{"/v2/app/tags/list", "/v2/app/manifests/v1", "/v2/app/manifests/v19"} {
					resp, err := c.Get("http://" + r.Registry + path)
					if err != nil {
						t.Error(err)
						return
					}
					if resp.StatusCode != http.StatusOK || !strings.Contains(resp.Header.Get("Content-Type"), "json") {
						t.Errorf("%s: %s", path, resp.Status)
					}
					_ = resp.Body.Close() // an answer is whole or a status
				}
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	if n := len(requests(t, r)); n == 0 {
		t.Error("nothing was recorded")
	}
}
