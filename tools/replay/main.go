// Replay sends recorded requests as fast as a server answers them, and prints how long that took as JSON.
//
//	replay -calls FILE -workers N
//
// The first line of FILE is {"server", "ca", "certificates": [{"certificate", "key"}]} (PEM), each other line one
// request: {"method", "path", "headers": [[name, value]], "body", "certificate", "headersOnly"}. "certificate" is the
// place of the client certificate that it shows, -1 for none.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type target struct {
	Server       string
	CA           string
	Certificates []struct{ Certificate, Key string }
}

type call struct {
	Method      string
	Path        string
	Headers     [][2]string
	Body        string
	Certificate int
	HeadersOnly bool
}

func main() {
	file := flag.String("calls", "", "the recorded requests")
	workers := flag.Int("workers", 16, "how many are in flight")
	flag.Parse()
	where, calls, err := read(*file)
	if err != nil {
		log.Fatal(err)
	}
	clients, err := clients(where, *workers)
	if err != nil {
		log.Fatal(err)
	}
	began := time.Now()
	statuses := replay(where.Server, calls, clients, *workers)
	seconds := time.Since(began).Seconds()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		log.Fatal(err)
	}
	cpu := time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
	result := map[string]any{"seconds": seconds, "cpu": cpu, "statuses": statuses}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		log.Fatal(err)
	}
}

func read(name string) (where target, calls []call, err error) {
	file, err := os.Open(name)
	if err != nil {
		return where, nil, err
	}
	defer file.Close()
	decoder := json.NewDecoder(bufio.NewReader(file))
	if err := decoder.Decode(&where); err != nil {
		return where, nil, fmt.Errorf("%s: %w", name, err)
	}
	for {
		var one call
		switch err := decoder.Decode(&one); {
		case errors.Is(err, io.EOF):
			return where, calls, nil
		case err != nil:
			return where, nil, fmt.Errorf("%s: %w", name, err)
		}
		calls = append(calls, one)
	}
}

// clients gives one client for each certificate and, last, one without: a connection belongs to one certificate.
func clients(where target, workers int) ([]*http.Client, error) {
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM([]byte(where.CA)) {
		return nil, errors.New("no authority in ca")
	}
	var made []*http.Client
	for _, pair := range where.Certificates {
		shown, err := tls.X509KeyPair([]byte(pair.Certificate), []byte(pair.Key))
		if err != nil {
			return nil, err
		}
		made = append(made, client(authorities, []tls.Certificate{shown}, workers))
	}
	return append(made, client(authorities, nil, workers)), nil
}

func client(authorities *x509.CertPool, shown []tls.Certificate, workers int) *http.Client {
	return &http.Client{
		Timeout: 60 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: authorities, Certificates: shown},
			TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1, as the audit
			MaxIdleConnsPerHost: workers,
			DisableCompression:  true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// replay counts the statuses; what brought no answer counts as 0.
func replay(server string, calls []call, clients []*http.Client, workers int) map[int]int {
	var (
		next   atomic.Int64
		wait   sync.WaitGroup
		mutex  sync.Mutex
		counts = map[int]int{}
	)
	for range workers {
		wait.Go(func() {
			mine := map[int]int{}
			for {
				number := int(next.Add(1)) - 1
				if number >= len(calls) {
					break
				}
				one := &calls[number]
				place := one.Certificate
				if place < 0 {
					place = len(clients) - 1
				}
				mine[send(server, one, clients[place])]++
			}
			mutex.Lock()
			defer mutex.Unlock()
			for status, count := range mine {
				counts[status] += count
			}
		})
	}
	wait.Wait()
	return counts
}

func send(server string, one *call, client *http.Client) int {
	var body io.Reader
	if one.Body != "" {
		body = strings.NewReader(one.Body)
	}
	request, err := http.NewRequest(one.Method, server+one.Path, body)
	if err != nil {
		log.Fatal(err)
	}
	for _, header := range one.Headers {
		request.Header.Add(header[0], header[1])
	}
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	if one.HeadersOnly && response.StatusCode < 300 {
		return response.StatusCode // closing an unread body drops the connection, as the audit does
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0
	}
	return response.StatusCode
}
