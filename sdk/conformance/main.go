// Command conformance holds an SDK to the rules of docs/local.md: it plays an instance of
// Latchkey, starts a small service that uses the SDK, sends it requests, and compares what
// comes back. The cases are data, the same for every language.
//
//	go run ./sdk/conformance -subject 'node sdk/node/subject.mjs'
//
// A subject reads LATCHKEY_API_KEY, prints its port, and serves GET /open for any key and
// GET /documents for keys with documents:read. It uses one SDK at a time:
//
//	POST /test/begin              begins with a new one; the body has its url and options
//	POST /test/advance?seconds=N  moves its clock
//	POST /test/stats              answers {"in_sync": true} or false
//	POST /test/close              closes it
//
// With -mutants it shows that the cases notice when an SDK breaks a rule.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

func main() {
	subject := flag.String("subject", "", "the command that starts the service")
	run := flag.String("run", "", "only cases whose name matches the expression")
	django := flag.Bool("django", false, "the subject answers as djangorestframework-api-key does: 403 for 401, Authorization alone")
	processes := flag.Int("processes", 2, "how many processes of the subject")
	mutants := flag.String("mutants", "", "break each rule in a copy of this SDK, go, node or python, and demand that a case notices")
	flag.Parse()
	if *mutants != "" {
		survived, err := breakEach(*mutants, os.Stdout)
		if err != nil || survived > 0 {
			fmt.Fprintln(os.Stderr, survived, "mutants were not noticed", err)
			os.Exit(1)
		}
		return
	}
	cases, err := readCases(*run, *django)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	began := time.Now()
	failed := playAll(cases, strings.Fields(*subject), *processes, *django)
	for _, f := range failed {
		fmt.Printf("FAIL %s\n     %v\n", f.name, f.err)
	}
	fmt.Printf("%d cases, %d failed, %.0f s: %s\n", len(cases), len(failed), time.Since(began).Seconds(), *subject)
	if len(failed) > 0 || len(cases) == 0 {
		os.Exit(1)
	}
}
