package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Tell which version this is", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		version, revision, goVersion := buildInfo()
		if wantsJSON(cmd) {
			return printJSON(cmd, map[string]string{"version": version, "revision": revision, "go": goVersion})
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "latchkey %s (revision %s, %s)\n", version, revision, goVersion)
		return err
	}}
	addOutputFlag(cmd)
	return cmd
}

// buildInfo is what the Go toolchain noted when it built this program.
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
