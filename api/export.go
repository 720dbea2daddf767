package api

import (
	"context"
	"encoding/csv"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/latchkey-dev/latchkey/api/plainjson"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// The media types of audit events.
const (
	jsonMedia  = "application/json"
	csvMedia   = "text/csv"
	linesMedia = "application/x-ndjson"
)

// preferred returns the offered media type that the Accept header (RFC 9110,
// section 12.5.1) gives the most weight. Without an Accept header, or if it
// accepts none of them, that is the first.
func preferred(ctx context.Context, offers ...string) string {
	call, _ := callOf(ctx)
	best, most := offers[0], 0.0
	for _, offer := range offers {
		if weight := weightOf(offer, call.accept); weight > most {
			best, most = offer, weight
		}
	}
	return best
}

// weightOf returns the weight of the most specific range that matches the offer.
func weightOf(offer, accept string) (weight float64) {
	kind, _, _ := strings.Cut(offer, "/")
	ranges := []string{"*/*", kind + "/*", offer}
	specific := -1
	for part := range strings.SplitSeq(strings.ToLower(accept), ",") {
		name, parameters, _ := strings.Cut(part, ";")
		rank := slices.Index(ranges, strings.TrimSpace(name))
		if rank <= specific {
			continue
		}
		specific, weight = rank, 1
		for parameter := range strings.SplitSeq(parameters, ";") {
			if q, ok := strings.CutPrefix(strings.TrimSpace(parameter), "q="); ok {
				weight, _ = strconv.ParseFloat(q, 64) // an invalid number means no weight
			}
		}
	}
	return weight
}

// eventExport answers every event that matches a filter.
type eventExport struct {
	media  string
	log    *slog.Logger
	export service.Export
}

// VisitListAuditEventsResponse writes the export. If that fails, it closes the
// connection, so that the client does not take a part for the whole.
func (e eventExport) VisitListAuditEventsResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", e.media)
	name := "audit-events.csv"
	write := writeRows(w)
	if e.media == linesMedia {
		name, write = "audit-events.ndjson", writeLines(w)
	}
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	if err := e.export.All(write); err != nil {
		e.log.Warn("an export of audit events was broken off", "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

func writeLines(w http.ResponseWriter) func([]domain.Event) error {
	lines := plainjson.NewEncoder(w)
	return func(events []domain.Event) error {
		for _, event := range events {
			if err := lines.Encode(AuditEventFrom(event)); err != nil {
				return err
			}
		}
		return nil
	}
}

func writeRows(w http.ResponseWriter) func([]domain.Event) error {
	rows := csv.NewWriter(w)
	rows.UseCRLF = true // RFC 4180, section 2
	header := rows.Write(domain.EventColumns)
	return func(events []domain.Event) error {
		if header != nil {
			return header
		}
		for _, e := range events {
			row, err := e.Row()
			if err != nil {
				return err
			}
			if err := rows.Write(row); err != nil {
				return err
			}
		}
		rows.Flush()
		return rows.Error()
	}
}
