package main

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestSettingsPage holds docs/settings.md to the settings: each is there, with an
// example, and with its flag if serve has one.
func TestSettingsPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	for f := range reflect.TypeFor[settings]().Fields() {
		name := f.Tag.Get("env")
		if name == "" {
			continue
		}
		_, rest, there := strings.Cut(string(page), "\n| `LATCHKEY_"+name+"` |")
		line, _, _ := strings.Cut(rest, "\n")
		if !there {
			t.Errorf("%s is not on the page: run go generate ./cmd/latchkey", name)
			continue
		}
		for _, want := range []string{f.Tag.Get("envDefault"), f.Tag.Get("example"), f.Tag.Get("usage")} {
			if !strings.Contains(line, strings.ReplaceAll(want, "|", `\|`)) {
				t.Errorf("%s: the page lacks %q: run go generate ./cmd/latchkey", name, want)
			}
		}
		if f.Tag.Get("usage") == "" || f.Tag.Get("example") == "" && f.Tag.Get("secret") == "" {
			t.Errorf("%s has no usage or no example", name)
		}
		hasFlag := newServe().Flags().Lookup(flagName(name)) != nil
		if shown := strings.Contains(line, "`--"+flagName(name)+"`"); shown != hasFlag {
			t.Errorf("%s: the page shows a flag: %v; serve has one: %v", name, shown, hasFlag)
		}
	}
}
