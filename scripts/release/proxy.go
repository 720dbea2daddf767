package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/latchkey-dev/latchkey/domain"
)

// writeProxy writes the files that a module proxy serves for the last commit, as its
// latest version: https://go.dev/ref/mod#goproxy-protocol. The version is that of a
// commit without a tag, because Go believes that a version never changes.
func writeProxy(dir string) error {
	if dir == "" {
		return nil
	}
	committed, err := commitTime()
	if err != nil {
		return err
	}
	revision, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return fmt.Errorf("git rev-parse: %w", err)
	}
	this := module.Version{
		Path:    "github.com/latchkey-dev/latchkey",
		Version: module.PseudoVersion("", "v"+domain.Version, committed, string(bytes.TrimSpace(revision))),
	}
	dir = filepath.Join(dir, this.Path)
	if err := os.MkdirAll(filepath.Join(dir, "@v"), 0o755); err != nil {
		return err
	}
	info, err := json.Marshal(map[string]any{"Version": this.Version, "Time": committed})
	if err != nil {
		return err
	}
	requirements, err := os.ReadFile("go.mod")
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"@latest": info, "@v/list": nil, "@v/" + this.Version + ".info": info, "@v/" + this.Version + ".mod": requirements,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	to, err := os.Create(filepath.Join(dir, "@v", this.Version+".zip"))
	if err != nil {
		return err
	}
	return errors.Join(zip.CreateFromVCS(to, this, ".", "HEAD", ""), to.Close())
}
