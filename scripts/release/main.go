// Command release builds what a release has: an archive for each platform, the list
// of its components, and checksums. Two runs on one commit with one version of Go
// give the same bytes, in whichever folder and at whatever time they run.
//
// Usage: go run ./scripts/release [-out FOLDER] [-platforms linux/amd64,…]
//
// With -proxy FOLDER it writes the module as a proxy serves it instead, so that go
// install can be tested before there is a tag.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

const (
	program   = "latchkey"
	cyclonedx = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"
	everyone  = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64"
)

func main() {
	out := flag.String("out", "build/release", "the folder for archives, lists of components and checksums")
	platforms := flag.String("platforms", everyone, "for which systems and processors")
	proxy := flag.String("proxy", "", "write the module into this folder, as a proxy serves it, and nothing else")
	flag.Parse()
	err := writeProxy(*proxy)
	if *proxy == "" {
		err = release(*out, strings.Split(*platforms, ","))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func release(out string, platforms []string) error {
	committed, err := commitTime()
	if err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	var sums strings.Builder
	for _, platform := range platforms {
		system, processor, found := strings.Cut(platform, "/")
		if !found {
			return fmt.Errorf("%q is not a platform such as linux/amd64", platform)
		}
		name := strings.Join([]string{program, domain.Version, system, processor}, "_")
		binary, err := build(out, name, system, processor)
		if err != nil {
			return err
		}
		list := name + ".cdx.json"
		if err := components(binary, filepath.Join(out, list)); err != nil {
			return err
		}
		archive, err := pack(out, name, binary, system == "windows", committed)
		if err != nil {
			return err
		}
		for _, file := range []string{archive, list} {
			content, err := os.ReadFile(filepath.Join(out, file))
			if err != nil {
				return err
			}
			sum := sha256.Sum256(content)
			fmt.Fprintf(&sums, "%s  %s\n", hex.EncodeToString(sum[:]), file)
		}
	}
	fmt.Fprint(os.Stdout, sums.String())
	return os.WriteFile(filepath.Join(out, "SHA256SUMS"), []byte(sums.String()), 0o644)
}

// build compiles the program into a folder of its own below out. What the
// environment may say about code generation is fixed here.
func build(out, name, system, processor string) (binary string, err error) {
	binary = filepath.Join(out, name, program)
	if system == "windows" {
		binary += ".exe"
	}
	return binary, run([]string{
		"CGO_ENABLED=0", "GOOS=" + system, "GOARCH=" + processor, "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "GOFLAGS=",
	}, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", binary, "./cmd/latchkey")
}

// components writes the list of what a binary consists of, in CycloneDX.
func components(binary, list string) error {
	return run([]string{"GOFLAGS="}, "go", "run", cyclonedx, "bin", "-json", "-licenses", "-assert-licenses", "-noserial", "-notimestamp",
		"-version", "v"+domain.Version, "-output", list, binary)
}

// commitTime is the time of every file in the archives.
func commitTime() (time.Time, error) {
	out, err := exec.Command("git", "log", "-1", "--format=%ct").Output()
	if err != nil {
		return time.Time{}, fmt.Errorf("a release is built from a clone: git log: %w", err)
	}
	seconds, err := strconv.ParseInt(string(bytes.TrimSpace(out)), 10, 64)
	return time.Unix(seconds, 0).UTC(), err
}

// tracked returns the files below a path that are under version control, in order.
func tracked(path string) ([]string, error) {
	out, err := exec.Command("git", "ls-files", "-z", "--", path).Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	files := strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 })
	slices.Sort(files)
	return files, nil
}

func run(env []string, name string, args ...string) error {
	command := exec.Command(name, args...)
	command.Env = append(os.Environ(), env...)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, out)
	}
	return nil
}
