package edge

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	patience  = 15 * time.Second // for an answer
	afterward = time.Second      // for a further answer on a connection that was not closed
	maxAnswer = 1 << 20
)

// answer is what the client of the proxy gets.
type answer struct {
	status   int
	reached  bool      // the API
	received *Received // what reached the API; nil: it is not known, as for HEAD
}

// message is a request as it is on the wire. Go's client would not send most of them.
func (t *Test) message(method, target, version string, lines ...string) string {
	var b strings.Builder
	b.WriteString(method + " " + target + " " + version + "\r\n")
	if version == http11 {
		b.WriteString("Host: " + t.URL.Host + "\r\n")
	}
	closes := true
	for _, line := range lines {
		b.WriteString(line + "\r\n")
		closes = closes && !strings.HasPrefix(line, "Connection:")
	}
	if closes {
		b.WriteString("Connection: close\r\n")
	}
	return b.String() + "\r\n"
}

const http11 = "HTTP/1.1"

// send sends a message and returns all answers, since a message may hold two requests.
func (t *Test) send(ctx context.Context, message string) ([]answer, error) {
	connection, err := dial(ctx, t.URL)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(connection, message); err != nil {
		return nil, err
	}
	method, _, _ := strings.Cut(message, " ")
	reader := bufio.NewReader(connection)
	var answers []answer
	for {
		a, err := read(reader, method)
		if err != nil && len(answers) == 0 {
			return nil, err
		}
		if err != nil {
			return answers, nil // there are no more
		}
		answers = append(answers, a)
		_ = connection.SetDeadline(time.Now().Add(afterward))
	}
}

func dial(ctx context.Context, to *url.URL) (net.Conn, error) {
	host, port := to.Hostname(), to.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[to.Scheme]
	}
	address := net.JoinHostPort(host, port)
	if to.Scheme == "https" {
		// HTTP/1.1 only: it is where the attacks are.
		d := tls.Dialer{Config: &tls.Config{ServerName: host, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}}
		return d.DialContext(ctx, "tcp", address)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

func read(from *bufio.Reader, method string) (answer, error) {
	response, err := http.ReadResponse(from, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return answer{}, err
	}
	a := answer{status: response.StatusCode, reached: response.Header.Get(headerEcho) != ""}
	var got Received
	if a.reached && json.Unmarshal(body, &got) == nil {
		a.received = &got
	}
	return a, nil
}
