// Command settingspage writes the table of docs/settings.md from the struct of the
// settings, so that the page lists every setting.
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"os"
	"reflect"
	"strings"
)

const begin, end = "<!-- settings: go generate writes what follows -->\n", "<!-- end of settings -->\n"

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: settingspage settings.go settings.md")
	}
	table, err := tableOf(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	page, err := os.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	before, rest, ok := bytes.Cut(page, []byte(begin))
	_, after, ended := bytes.Cut(rest, []byte(end))
	if !ok || !ended {
		log.Fatalf("%s has no place for the table", os.Args[2])
	}
	written := bytes.Join([][]byte{before, []byte(begin + table + end), after}, nil)
	if err := os.WriteFile(os.Args[2], written, 0o644); err != nil {
		log.Fatal(err)
	}
}

func tableOf(path string) (string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return "", err
	}
	var s strings.Builder
	s.WriteString("| setting | flag | default | example | meaning |\n|---|---|---|---|---|\n")
	ast.Inspect(file, func(n ast.Node) bool {
		f, ok := n.(*ast.Field)
		if !ok || f.Tag == nil {
			return true
		}
		tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
		name := tag.Get("env")
		flag := "`--" + strings.ReplaceAll(strings.ToLower(name), "_", "-") + "`"
		if tag.Get("secret") != "" {
			flag = "none: it is a secret"
		}
		fmt.Fprintf(&s, "| `LATCHKEY_%s` | %s | %s | %s | %s |\n", name, flag, code(tag.Get("envDefault")), code(tag.Get("example")),
			strings.ReplaceAll(tag.Get("usage"), "|", `\|`))
		return true
	})
	return s.String(), nil
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(text, "|", `\|`) + "`"
}
