package service

import (
	"encoding/json"

	"github.com/latchkey-dev/latchkey/domain"
)

// withLimits adds limits to the fields that the audit trail compares, each by its
// name, so that a change shows as limits.requests.limit from 100 to 200.
func withLimits(fields map[string]any, limits []domain.Limit) map[string]any {
	for _, l := range limits {
		for name, value := range limitFields(l) {
			fields["limits."+l.Name+"."+name] = value
		}
	}
	return fields
}

// limitFields are the fields of a limit, except for its name, as clients see them.
func limitFields(l domain.Limit) (fields map[string]any) {
	text, _ := json.Marshal(l)        //nolint:errchkjson // it has texts and numbers only
	_ = json.Unmarshal(text, &fields) // what has been written can be read
	delete(fields, "name")
	return fields
}
