// Command subject is the service that sdk/conformance drives: net/http with the middleware.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/client"
	"github.com/latchkey-dev/latchkey/client/verify"
)

// service is what one case asks: the verifier, and by how much its clock is ahead.
type service struct {
	latchkey *verify.Verifier
	ahead    atomic.Int64
}

func begin(body io.Reader) (*service, error) {
	var options struct {
		URL         string
		Grace       *int
		Kept        int
		Timeout     int
		Environment client.Environment
	}
	if err := json.NewDecoder(body).Decode(&options); err != nil {
		return nil, err
	}
	s := &service{}
	o := verify.Options{
		URL:         options.URL,
		Kept:        options.Kept,
		Timeout:     time.Duration(options.Timeout) * time.Second,
		Environment: options.Environment,
		Clock:       func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) },
	}
	if options.Grace != nil {
		o.Grace = new(time.Duration(*options.Grace) * time.Second)
	}
	var err error
	s.latchkey, err = verify.New(o)
	return s, err
}

func main() {
	var now atomic.Pointer[service]
	guarded := func(scopes ...client.Scope) http.HandlerFunc {
		answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			key, _ := verify.KeyOf(r.Context())
			_, _ = io.WriteString(w, key.ID)
		})
		return func(w http.ResponseWriter, r *http.Request) {
			now.Load().latchkey.Require(scopes...)(answer).ServeHTTP(w, r)
		}
	}
	http.Handle("GET /open", guarded())
	http.Handle("GET /documents", guarded("documents:read"))
	http.HandleFunc("POST /test/begin", func(w http.ResponseWriter, r *http.Request) {
		s, err := begin(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		now.Store(s)
	})
	http.HandleFunc("POST /test/advance", func(_ http.ResponseWriter, r *http.Request) {
		seconds, _ := strconv.ParseFloat(r.URL.Query().Get("seconds"), 64)
		now.Load().ahead.Add(int64(seconds * float64(time.Second)))
	})
	http.HandleFunc("POST /test/stats", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]bool{"in_sync": now.Load().latchkey.Stats().InSync})
	})
	http.HandleFunc("POST /test/close", func(http.ResponseWriter, *http.Request) { now.Load().latchkey.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	fmt.Println(port)
	server := &http.Server{ReadHeaderTimeout: time.Minute}
	fmt.Fprintln(os.Stderr, server.Serve(l))
	os.Exit(1)
}
