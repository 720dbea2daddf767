package main

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// span is a duration in a flag: in Go's syntax, or with days and weeks, as in 30d
// or 1w12h.
type span time.Duration

const day = 24 * time.Hour

var daysAndWeeks = regexp.MustCompile(`^(?:(\d{1,4})w)?(?:(\d{1,4})d)?(.*)$`)

// Set implements pflag.Value.
func (s *span) Set(text string) error {
	d, err := parseSpan(text)
	*s = span(d)
	return err
}

func (s *span) String() string { return time.Duration(*s).String() }

// Type implements pflag.Value.
func (*span) Type() string { return "duration" }

func parseSpan(text string) (time.Duration, error) {
	parts := daysAndWeeks.FindStringSubmatch(text)
	weeks, _ := strconv.Atoi(parts[1]) // digits, or nothing: 0
	days, _ := strconv.Atoi(parts[2])
	whole := time.Duration(weeks)*7*day + time.Duration(days)*day
	if parts[3] == "" && whole > 0 {
		return whole, nil
	}
	rest, err := time.ParseDuration(parts[3])
	if err != nil || whole > 0 && (rest < 0 || whole+rest < whole) {
		return 0, fmt.Errorf("it is a length of time such as 12h, 30d or 2w, not %q", text)
	}
	return whole + rest, nil
}
