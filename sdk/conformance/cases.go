package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
)

//go:embed cases/*.json
var files embed.FS

// scenario is one case: what happens, and what must be seen.
type scenario struct {
	Name    string         `json:"name"`
	Options map[string]any `json:"options"` // of the SDK
	Cold    bool           `json:"cold"`    // begin before the SDK is in sync
	Steps   []step         `json:"steps"`
}

// step is what happens, in the order of the fields.
type step struct {
	Verify  *verification `json:"verify"`  // how the instance answers questions from now on
	Down    *bool         `json:"down"`    // whether the instance can be connected to
	Sync    *change       `json:"sync"`    // what it says to the call that waits
	Release bool          `json:"release"` // it answers the questions that it held
	Advance float64       `json:"advance"` // seconds that pass
	Silent  bool          `json:"silent"`  // no call for changes is answered in them
	Send    *request      `json:"send"`
	Arrive  int           `json:"arrive"` // wait for so many questions since the last expectation
	InSync  *bool         `json:"in_sync"`
	Join    bool          `json:"join"`     // wait for requests in the background
	PauseMS int           `json:"pause_ms"` // of real time, where no event tells
	Close   bool          `json:"close"`    // the SDK
	Expect  *expectation  `json:"expect"`
}

type request struct {
	Path       string      `json:"path"`
	Key        string      `json:"key"`
	Header     string      `json:"header"` // with a space at its end for a scheme
	Headers    [][2]string `json:"headers"`
	Times      int         `json:"times"`
	Background bool        `json:"background"`
}

type expectation struct {
	Status  int               `json:"status"`
	Code    string            `json:"code"`
	Headers map[string]string `json:"headers"` // expressions
	Asked   *int              `json:"asked"`   // questions since the last expectation
	IP      string            `json:"ip"`      // that the last question named
	Uses    map[string]int    `json:"uses"`    // reported since the start
	Log     string            `json:"log"`     // an expression
}

// readCases returns the cases of the suite. Those about where a token is sent are not for
// Django: the library that it replaces has rules of its own.
func readCases(only string, django bool) (all []scenario, err error) {
	names, err := files.ReadDir("cases")
	if err != nil {
		return nil, err
	}
	want, err := regexp.Compile(only)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if django && name.Name() == "1-tokens.json" {
			continue
		}
		text, err := files.ReadFile(path.Join("cases", name.Name()))
		if err != nil {
			return nil, err
		}
		var some []scenario
		strict := json.NewDecoder(bytes.NewReader(text))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&some); err != nil {
			return nil, fmt.Errorf("%s: %w", name.Name(), err)
		}
		all = append(all, slices.DeleteFunc(some, func(c scenario) bool { return !want.MatchString(c.Name) })...)
	}
	return all, nil
}
