package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print which version this is", RunE: func(cmd *cobra.Command, _ []string) error {
		if wantsJSON(cmd) {
			version, revision, goVersion := buildInfo()
			return printJSON(cmd, map[string]string{"version": version, "revision": revision, "go": goVersion})
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), versionLine())
		return err
	}}
	addOutputFlag(cmd)
	return cmd
}

// versionLine is the output of version and --version.
func versionLine() string {
	version, revision, goVersion := buildInfo()
	return fmt.Sprintf("latchkey %s (revision %s, %s)", version, revision, goVersion)
}

// buildInfo returns what the Go toolchain recorded when it built this program.
func buildInfo() (version, revision, goVersion string) {
	version, revision = "devel", "unknown"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version, revision, "unknown Go"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		version = v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return version, revision, info.GoVersion
}
