package api

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/latchkey-dev/latchkey/api/plainjson"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// The media types of lists that may be exported.
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

// export answers everything that matches a filter.
type export[T any] struct {
	media   string
	name    string // of the file, without its ending
	log     *slog.Logger
	items   service.Export[T]
	columns []string
	row     func(T) ([]string, error)
	object  func(T) any
}

// write writes the export. If that fails, it closes the connection, so that the
// client does not take a part for the whole.
func (e export[T]) write(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", e.media)
	ending, write := ".csv", domain.Table(w, e.columns, e.row)
	if e.media == linesMedia {
		ending, write = ".ndjson", e.writeLines(w)
	}
	w.Header().Set("Content-Disposition", `attachment; filename="`+e.name+ending+`"`)
	if err := e.items.All(write); err != nil {
		e.log.Warn("an export was broken off", "of", e.name, "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

func (e export[T]) writeLines(w http.ResponseWriter) func([]T) error {
	lines := plainjson.NewEncoder(w)
	return func(items []T) error {
		for _, item := range items {
			if err := lines.Encode(e.object(item)); err != nil {
				return err
			}
		}
		return nil
	}
}

type eventExport struct{ export[domain.Event] }

func newEventExport(ctx context.Context, media string, events service.Export[domain.Event]) eventExport {
	call, _ := callOf(ctx)
	return eventExport{export[domain.Event]{
		media:   media,
		name:    "audit-events",
		log:     call.guard.log,
		items:   events,
		columns: domain.EventColumns,
		row:     domain.Event.Row,
		object:  func(e domain.Event) any { return AuditEventFrom(e) },
	}}
}

// VisitListAuditEventsResponse implements ListAuditEventsResponseObject.
func (e eventExport) VisitListAuditEventsResponse(w http.ResponseWriter) error { return e.write(w) }

type creditExport struct{ export[domain.CreditEntry] }

func newCreditExport(ctx context.Context, media string, entries service.Export[domain.CreditEntry]) creditExport {
	call, _ := callOf(ctx)
	return creditExport{export[domain.CreditEntry]{
		media:   media,
		name:    "credits",
		log:     call.guard.log,
		items:   entries,
		columns: domain.CreditEntryColumns,
		row:     domain.CreditEntry.Row,
		object:  func(e domain.CreditEntry) any { return CreditEntryFrom(e) },
	}}
}

// VisitListCreditEntriesResponse implements ListCreditEntriesResponseObject.
func (e creditExport) VisitListCreditEntriesResponse(w http.ResponseWriter) error { return e.write(w) }

type usageExport struct{ export[domain.UsageItem] }

func newUsageExport(ctx context.Context, media string, items service.Export[domain.UsageItem], q domain.UsageQuery) usageExport {
	call, _ := callOf(ctx)
	return usageExport{export[domain.UsageItem]{
		media:   media,
		name:    "usage",
		log:     call.guard.log,
		items:   items,
		columns: q.Columns(),
		row:     func(i domain.UsageItem) ([]string, error) { return i.Row(q), nil },
		object:  func(i domain.UsageItem) any { return UsageItemFrom(i, q) },
	}}
}

// VisitGetUsageResponse implements GetUsageResponseObject.
func (e usageExport) VisitGetUsageResponse(w http.ResponseWriter) error { return e.write(w) }

// VisitGetOrganizationUsageResponse implements GetOrganizationUsageResponseObject.
func (e usageExport) VisitGetOrganizationUsageResponse(w http.ResponseWriter) error {
	return e.write(w)
}
