// Command latchkey is the API key backend: the server, and everything an
// operator does besides. See latchkey help.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	_ "golang.org/x/crypto/x509roots/fallback" // for systems without certificates, such as the image

	"github.com/latchkey-dev/latchkey/domain"
)

func main() {
	root := newRoot()
	if err := root.ExecuteContext(context.Background()); err != nil {
		fmt.Fprintln(root.ErrOrStderr(), "latchkey: "+visibleLines(explain(err)))
		if _, unclear := errors.AsType[*usageError](err); unclear {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "latchkey",
		Short: "A multi-tenant backend for API keys",
		Long: "Latchkey is a multi-tenant backend for API keys.\n\n" +
			"Settings come from the environment (LATCHKEY_…) and, for serve, from flags of the same names; latchkey serve --help " +
			"lists them. The other commands act on the same database and are recorded in its audit trail. They print results on " +
			"standard output and messages on standard error.",
		SilenceErrors: true, // main prints it, once
		SilenceUsage:  true, // a list of flags does not help with a mistake in a value
		Version:       versionLine(),
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(
		newServe(), newQuickstart(), newMigrate(), newRoutes(), newOpenAPI(), newVersion(),
		newUser(), newOrganization(), newServiceAccount(), newProject(), newPlan(), newLimit(), newCredits(), newKey(), newUsage(),
		newAudit(), newJWT(), newScannerRules(), newNode(), newEdge(), newDoctor(), newBackup(),
	)
	checkUsage(root)
	checkHelp(root)
	return root
}

// explain returns the text of an error for the person at the terminal.
func explain(err error) string {
	e, ok := errors.AsType[*domain.Error](err)
	if !ok {
		return withoutSecrets(err.Error())
	}
	var s strings.Builder
	s.WriteString(e.Detail)
	if e.Detail == "" {
		s.WriteString(string(e.Code))
	}
	for _, f := range e.Fields {
		fmt.Fprintf(&s, "\n  %s %s", strings.ReplaceAll(strings.Trim(f.Pointer, "/"), "_", " "), f.Detail)
	}
	if e.Code == domain.CodeUnavailable && e.Err != nil {
		fmt.Fprintf(&s, "\n  %v", e.Err)
	}
	return withoutSecrets(s.String())
}
