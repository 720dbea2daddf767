package api

import (
	"encoding/base64"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
)

// TestSlowHashesOfARequest guarantees that either edge computes no more slow hashes
// for a request than the eight that service allows: with 12 secrets to be compared,
// a wrong token is known to be wrong in the second request, not before.
func TestSlowHashesOfARequest(t *testing.T) {
	t.Parallel()
	e := newEdges(t)
	_, eve := e.Person("eve@example.com")
	for i := range 12 { // of one project, a token can only fit one
		project := e.NewProject(e.NewOrganization(eve, fmt.Sprint("O", i)), "P")
		imported, err := project.ImportKeys(t.Context(), slices.Values([]domain.ImportRow{{
			Name: "slow", Algorithm: domain.DjangoPBKDF2SHA256, Prefix: "dOwgmSHc",
			Hash: domain.Hidden("pbkdf2_sha256$1$salt$" + base64.StdEncoding.EncodeToString(make([]byte, 32))),
		}}))
		must(t, err)
		if imported.Imported != 1 {
			t.Fatal(imported)
		}
	}
	for name, by := range map[string]*echo.Echo{"lean": e.lean, "ordinary": e.ordinary} {
		var got []string
		for range 2 {
			got = append(got, e.answer(t, by, ask{"GET", "/v1/project", "", "dOwgmSHc.wrong-" + name, "", ""})[:3])
		}
		if diff := cmp.Diff([]string{"503", "401"}, got); diff != "" {
			t.Errorf("the %s edge: -want +got:\n%s", name, diff)
		}
	}
}
