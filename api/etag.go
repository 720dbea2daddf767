package api

import (
	"strconv"
	"strings"

	"github.com/latchkey-dev/latchkey/domain"
)

// etag is the strong entity tag (RFC 9110, section 8.8.3) of a revision.
func etag(revision int64) *string {
	tag := `"` + strconv.FormatInt(revision, 10) + `"`
	return &tag
}

// expected reads an If-Match header (RFC 9110, section 13.1.1). An asterisk matches
// any revision; a missing resource is not_found anyway. Tags that Latchkey never
// issued, such as weak ones, match nothing.
func expected(ifMatch *string) domain.Precondition {
	if ifMatch == nil || strings.TrimSpace(*ifMatch) == "*" {
		return domain.Precondition{}
	}
	var revisions []int64
	for tag := range strings.SplitSeq(*ifMatch, ",") {
		digits, err := strconv.Unquote(strings.TrimSpace(tag))
		if revision, parseErr := strconv.ParseInt(digits, 10, 64); err == nil && parseErr == nil &&
			*etag(revision) == strings.TrimSpace(tag) {
			revisions = append(revisions, revision)
		}
	}
	return domain.AtRevision(revisions...)
}
