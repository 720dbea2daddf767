package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/latchkey-dev/latchkey/domain"
)

// ReportLeak does with the keys of leaked tokens what their projects want.
func (h *handlers) ReportLeak(ctx context.Context, r ReportLeakRequestObject) (ReportLeakResponseObject, error) {
	found, err := h.app.ReportLeaks(ctx, origin(ctx), r.Body.report())
	if err != nil {
		return nil, err
	}
	answer := make(ReportLeak200JSONResponse, len(found))
	for i, leak := range r.Body.found {
		answer[i] = leak.label(found[i])
	}
	return answer, nil
}

// LeakBody is the checked body of reportLeak, in either of its shapes.
type LeakBody struct {
	found LeakList
	batch bool
}

// read decodes the body. Fields that only the scanner knows are ignored.
func (b *LeakBody) read(text []byte) error {
	if jsontext.Value(text).Kind() == '[' {
		return json.Unmarshal(text, &b.found)
	}
	var batch LeakBatch
	if err := json.Unmarshal(text, &batch); err != nil {
		return err
	}
	b.batch = true
	for _, token := range batch.Tokens {
		b.found = append(b.found, Leak{Token: token, URL: batch.URL})
	}
	return nil
}

func (b *LeakBody) report() domain.LeakReport {
	return domain.LeakReport{Batch: b.batch, Leaks: each(b.found, func(l Leak) domain.Leak {
		return domain.Leak{Token: domain.Hidden(l.Token), URL: value(l.URL), Source: value(l.Source)}
	})}
}

// label is the feedback on a leak, in the shape of GitHub's partners.
func (l Leak) label(found bool) LeakLabel {
	hash := sha256.Sum256([]byte(l.Token))
	label := LeakLabel{
		TokenHash: base64.StdEncoding.EncodeToString(hash[:]),
		TokenType: cmp.Or(value(l.Type), "latchkey_api_key"),
		Label:     LeakLabelLabelFalsePositive,
	}
	if found {
		label.Label = LeakLabelLabelTruePositive
	}
	return label
}
