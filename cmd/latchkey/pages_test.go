package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCommandsOnPages guarantees that each command that a page names in a sentence
// exists, with its flags. Commands in blocks are run by contract/guides.py.
func TestCommandsOnPages(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	inline := regexp.MustCompile("`latchkey ([^`]+)`")
	flag := regexp.MustCompile(`^--([a-z-]+)`)
	tried := 0
	for _, page := range append(pages, "../../README.md", "../../SECURITY.md", "../../ARCHITECTURE.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range inline.FindAllStringSubmatch(string(text), -1) {
			tried++
			words := strings.Fields(found[1])
			// resume|suspend names two commands.
			for name := range strings.SplitSeq(words[min(1, len(words)-1)], "|") {
				path := append([]string{}, words...)
				path[min(1, len(words)-1)] = name
				root := newRoot()
				root.InitDefaultCompletionCmd() // as Execute does
				cmd, rest, err := root.Find(path)
				if err != nil || cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
					t.Errorf("%s: there is no command %q", page, found[0])
					continue
				}
				for _, word := range rest {
					m := flag.FindStringSubmatch(word)
					if m == nil || m[1] == "help" || m[1] == "version" {
						continue
					}
					if cmd.Flags().Lookup(m[1]) == nil {
						t.Errorf("%s: %s has no flag --%s", page, found[0], m[1])
					}
				}
			}
		}
	}
	if tried < 20 {
		t.Errorf("only %d commands were tried", tried)
	}
}
