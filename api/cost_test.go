package api_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// What a request may cost, on a machine that hashes 64 MiB in quietHash; others
// get as much more as they are slower.
const (
	quietHash   = 38 * time.Millisecond
	smallCost   = 50 * time.Millisecond // of a core, of a body of 64 KiB
	largeCost   = 2 * time.Second       // of one of 16 MiB
	largeMemory = 64 << 20              // bytes above rest
	growth      = 2.5                   // from half to full size
	tellsGrowth = 5 * time.Millisecond  // a full size below it is too quick to tell how it grows
)

// worst are bodies that are as costly as their size allows.
var worst = map[string]func(schema *openapi3.Schema, size int) string{
	"unknown names": func(_ *openapi3.Schema, size int) string { return unknownNames(size) },
	"names of another case": func(s *openapi3.Schema, size int) string {
		return strings.ReplaceAll(unknownNames(size), `"u`, `"`+strings.ToUpper(firstName(s)))
	},
	"one name":   func(_ *openapi3.Schema, size int) string { return `{"` + strings.Repeat("n", size-8) + `":0}` },
	"duplicates": func(_ *openapi3.Schema, size int) string { return `{"u":0` + strings.Repeat(`,"u":0`, size/6-2) + `}` },
	"nested objects": func(_ *openapi3.Schema, size int) string {
		deep := strings.Repeat(`{"u":`, 14) + "0" + strings.Repeat("}", 14)
		return `{"u":[` + deep + strings.Repeat(","+deep, size/(len(deep)+1)-2) + `]}`
	},
	"nested arrays": func(_ *openapi3.Schema, size int) string { return strings.Repeat("[", size) },
	"a long number": func(s *openapi3.Schema, size int) string {
		return `{"` + firstName(s) + `":1` + strings.Repeat("0", 300) + "." + strings.Repeat("1", size-330) + `}`
	},
	"spaces":        func(_ *openapi3.Schema, size int) string { return strings.Repeat(" ", size-2) + "{}" },
	"long texts":    func(s *openapi3.Schema, size int) string { return everyField(s, size, `"`, "x", `"`) },
	"escaped texts": func(s *openapi3.Schema, size int) string { return everyField(s, size, `"`, `\u0061`, `"`) },
	"almost slugs":  func(s *openapi3.Schema, size int) string { return everyField(s, size, `"`, "a-", `"`) },
	"wrong items":   func(s *openapi3.Schema, size int) string { return everyField(s, size, "[0", ",0", "]") },
	"empty items":   func(s *openapi3.Schema, size int) string { return everyField(s, size, "[{}", ",{}", "]") },
	"text items":    func(s *openapi3.Schema, size int) string { return everyField(s, size, `["a:b"`, `,"a:b"`, "]") },
	"wrong values":  func(s *openapi3.Schema, size int) string { return everyField(s, size, `{"u":0`, `,"u":0`, "}") },
	"many entries": func(s *openapi3.Schema, size int) string {
		return everyField(s, size, strings.TrimSuffix(strings.ReplaceAll(unknownNames(size/2/max(1, len(s.Properties))), ":0", `:""`),
			"}"), ` `, "}")
	},
	"rows of many scopes": func(_ *openapi3.Schema, size int) string {
		return everyRow(size, `{"scopes":["a:b"`+strings.Repeat(`,"a:b"`, 250)+`]}`)
	},
	"rows of many entries": func(_ *openapi3.Schema, size int) string {
		return everyRow(size, `{"metadata":`+strings.ReplaceAll(unknownNames(1600), ":0", `:""`)+`}`)
	},
	"long rows": func(_ *openapi3.Schema, size int) string {
		return everyRow(size, `{"scopes":["a:b"`+strings.Repeat(`,"a:b"`, 10_900)+`]}`)
	},
	"bad rows": func(_ *openapi3.Schema, size int) string {
		return everyRow(size, `{"name":"","scopes":["x","x"],"created_at":"x"}`)
	},
}

func firstName(s *openapi3.Schema) string { return slices.Min(slices.Collect(maps.Keys(s.Properties))) }

// everyField gives each field a value that is so long that the body has the size.
func everyField(s *openapi3.Schema, size int, before, again, after string) string {
	each := size/len(s.Properties) - 40
	var fields []string
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		fields = append(fields, fmt.Sprintf(`"%s":%s%s%s`, name, before, strings.Repeat(again, max(0, each-len(before))/len(again)), after))
	}
	return "{" + strings.Join(fields, ",") + "}"
}

// everyRow fills the body of an import with as many rows as fit.
func everyRow(size int, row string) string {
	return importOf(row, min(10_000, max(1, (size-12)/(len(row)+1))), 0)
}

// price is the cost of a request.
type price struct {
	cpu       time.Duration // of the process, the best of several tries
	allocated uint64        // bytes, in all
	peak      uint64        // bytes in use above rest, at most
}

// measured is the cost of one kind of body for one caller of an operation.
type measured struct {
	operation, body, caller string
	size                    int
	half, full              price
	status                  int
}

func (m measured) ratio() float64 {
	if m.full.cpu < tellsGrowth {
		return 0
	}
	return float64(m.full.cpu) / float64(max(m.half.cpu, time.Microsecond))
}

// Guarantees the law of cost: for every operation and every caller, the worst
// body that its size allows costs at most 2.5 times what half of it costs, and no
// more of a core and of memory than the constants above say. A sample by a seed
// in short; with -args -long all, and a table.
//
//nolint:paralleltest // it measures the whole process
func TestLawOfCost(t *testing.T) {
	s, slower := newScene(t), slowness(t)
	seed := rand.Uint64()
	sample := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d, this machine is %.2f times as slow as the quiet one", seed, slower)
	var all []measured
	bodies(func(method, path string, op *openapi3.Operation, schema *openapi3.Schema) {
		size := 64 << 10
		if n, given := op.Extensions["x-max-body"].(float64); given {
			size = int(n)
		}
		address := fill(t, path, s.ids(t, s.home, path, s.home.owner))
		for _, kind := range slices.Sorted(maps.Keys(worst)) {
			for _, caller := range []string{"anonymous", "stranger", "owner"} {
				if !*long && sample.IntN(16) != 0 {
					continue
				}
				m := measured{operation: op.OperationID, body: kind, caller: caller, size: size}
				send := func(size int) (price, int) {
					return s.price(t, method, address, s.as[caller], worst[kind](schema, size))
				}
				m.half, _ = send(size / 2)
				m.full, m.status = send(size)
				for again := 0; again < 30 && m.dear(slower); again++ { // a neighbor on the machine may have been
					half, _ := send(size / 2)
					full, _ := send(size)
					m.half.cpu, m.full.cpu = min(m.half.cpu, half.cpu), min(m.full.cpu, full.cpu)
				}
				m.hold(t, slower)
				all = append(all, m)
			}
		}
	})
	if *long {
		writePrices(t, all, slower, seed)
	}
}

// limit is what the full size may take of a core.
func (m measured) limit(slower float64) time.Duration {
	if m.size > 64<<10 {
		return time.Duration(float64(largeCost) * slower)
	}
	return time.Duration(float64(smallCost) * slower)
}

func (m measured) dear(slower float64) bool {
	return m.full.cpu > m.limit(slower) || m.ratio() > growth
}

func (m measured) hold(t *testing.T, slower float64) {
	t.Helper()
	if limit := m.limit(slower); m.full.cpu > limit {
		t.Errorf("%s by %s, %s: %v of a core, want at most %v", m.operation, m.caller, m.body, m.full.cpu, limit)
	}
	if r := m.ratio(); r > growth {
		t.Errorf("%s by %s, %s: twice the size costs %.1f times as much, want at most %.1f", m.operation, m.caller, m.body, r, growth)
	}
	if a, b := m.half.allocated, m.full.allocated; b > 1<<20 && float64(b) > growth*float64(a) {
		t.Errorf("%s by %s, %s: twice the size allocates %d bytes, half %d", m.operation, m.caller, m.body, b, a)
	}
	if m.full.peak > largeMemory {
		t.Errorf("%s by %s, %s: %d MiB of memory above rest, want at most %d", m.operation, m.caller, m.body, m.full.peak>>20,
			largeMemory>>20)
	}
}

// price sends a body several times, in pieces as a network does.
func (w *world) price(t *testing.T, method, address string, as credential, body string) (price, int) {
	t.Helper()
	best, status := price{cpu: time.Hour}, 0
	for range 5 {
		r := httptest.NewRequestWithContext(context.Background(), method, address, struct{ io.Reader }{strings.NewReader(body)})
		r.ContentLength = int64(len(body))
		fromAnotherNetwork(r)
		r.Header.Set("Content-Type", "application/json")
		as(r.Header)
		recorder := httptest.NewRecorder()
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		peak := watchMemory()
		begun := servicetest.ProcessCPU(t)
		w.echo.ServeHTTP(recorder, r)
		best.cpu = min(best.cpu, servicetest.ProcessCPU(t)-begun)
		best.peak = max(best.peak, peak())
		runtime.ReadMemStats(&after)
		best.allocated = after.TotalAlloc - before.TotalAlloc
		if status = recorder.Code; status >= 500 {
			t.Errorf("%s %s: %d %s", method, address, status, recorder.Body)
		}
		if best.cpu < tellsGrowth {
			break // far below every limit
		}
	}
	return best, status
}

// watchMemory samples what the heap holds until the returned function is called,
// which gives the most above the start. The collector runs so often that
// garbage hardly counts.
func watchMemory() func() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	held := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	percent := debug.SetGCPercent(20)
	rest, most, done := held(), uint64(0), make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			most = max(most, held())
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	return func() uint64 {
		close(done)
		watching.Wait()
		debug.SetGCPercent(percent)
		return most - min(most, rest)
	}
}

// slowness is how many times as long as on the quiet machine a hash takes now.
func slowness(t *testing.T) float64 {
	t.Helper()
	block, best := make([]byte, 1<<20), time.Hour
	for range 5 {
		begun := servicetest.ProcessCPU(t)
		for range 64 {
			sha256.Sum256(block)
		}
		best = min(best, servicetest.ProcessCPU(t)-begun)
	}
	return max(1, float64(best)/float64(quietHash)) * instrumented
}

// writePrices leaves the table of a long run in docs/measured.
func writePrices(t *testing.T, all []measured, slower float64, seed uint64) {
	t.Helper()
	commit, err := exec.CommandContext(t.Context(), "git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b measured) int { return int(b.full.cpu - a.full.cpu) })
	ratio := slices.MaxFunc(all, func(a, b measured) int { return cmp.Compare(a.ratio(), b.ratio()) }).ratio()
	var text bytes.Buffer
	fmt.Fprintf(&text, "The law of cost: go test ./api -run TestLawOfCost -args -long\ncommit %s, seed %d, %s/%s, %d cores, "+
		"%.2f times as slow as the quiet machine\n%d bodies; worst ratio %.2f, worst time %v; the costliest:\n\n",
		bytes.TrimSpace(commit), seed, runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), slower, len(all), ratio, all[0].full.cpu)
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "operation\tbody\tcaller\tstatus\tbytes\thalf\tfull\tratio\tallocated\tpeak")
	for _, m := range all[:60] {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%v\t%v\t%.2f\t%d KiB\t%d KiB\n", m.operation, m.body, m.caller, m.status, m.size,
			m.half.cpu, m.full.cpu, m.ratio(), m.full.allocated>>10, m.full.peak>>10)
	}
	if err := errors.Join(table.Flush(), os.MkdirAll("../docs/measured", 0o755),
		os.WriteFile("../docs/measured/cost.txt", text.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// A client that leaves ends the work on what it sent.
func TestWorkEndsWithTheClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	ctx, leave := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, "POST", n.path("/keys/import"), io.MultiReader(
		strings.NewReader(importOf(goodRow, 5000, 0)), readerFunc(func([]byte) (int, error) { leave(); return 0, io.EOF }),
	))
	r.Header.Set("Content-Type", "application/json")
	n.owner.as(r.Header)
	recorder := httptest.NewRecorder()
	w.echo.ServeHTTP(recorder, r)
	if !errors.Is(ctx.Err(), context.Canceled) || recorder.Code == http.StatusOK {
		t.Errorf("got %d", recorder.Code)
	}
	var list struct{ Items []any }
	w.call(t, "GET", n.path("/keys"), n.owner.as, nil).want(t, http.StatusOK, &list)
	if len(list.Items) > 0 {
		t.Errorf("%d keys were imported for a client that had left", len(list.Items))
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
