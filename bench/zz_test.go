package bench

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/repository/storetest"
)

// ZZ="name|binary|ENV=.. ENV=..;name|..." ROUNDS SECS REQ=get,verify,bad,jwt,gen
func TestZZ(t *testing.T) {
	spec := os.Getenv("ZZ")
	floor := bare(t)
	type v struct {
		name string
		p    *process
		m    tenant
	}
	var vs []v
	for s := range strings.SplitSeq(spec, ";") {
		f := strings.Split(s, "|")
		if f[1] != "" {
			binary = f[1]
		}
		p := latchkey(t, storetest.SQLite(t), strings.Fields(f[2])...)
		vs = append(vs, v{f[0], p, newTenant(t, p)})
	}
	reqs := func(m tenant) map[string][]byte {
		byUser := map[string]string{"Authorization": "Bearer " + m.jwt}
		return map[string][]byte{
			"get":    request("GET", "/v1/project", map[string]string{"X-Api-Key": m.token}, ""),
			"verify": request("POST", "/v1/keys/verify", map[string]string{"X-Api-Key": m.verifier}, fmt.Sprintf(`{"key":%q,"scopes":["documents:read"]}`, m.token)),
			"jwt":    request("POST", "/v1/keys/verify", byUser, fmt.Sprintf(`{"key":%q,"project_id":%q}`, m.token, m.project)),
			"gen":    request("GET", "/v1/projects/"+m.project, byUser, ""),
			"bad":    request("GET", "/v1/project", map[string]string{"X-Api-Key": m.token[:len(m.token)-1] + "!"}, ""),
		}
	}
	which := strings.Split(os.Getenv("REQ"), ",")
	for _, w := range which {
		fr := reqs(vs[0].m)["get"]
		if w == "verify" || w == "jwt" {
			fr = reqs(vs[0].m)["verify"]
		}
		ratio, cpu, tail := make([][]float64, len(vs)), make([][]float64, len(vs)), make([][]float64, len(vs))
		var fcpu []float64
		n := 7
		for i := range n + 1 {
			b := load(t, floor, 1200*time.Millisecond, 200, always(fr))
			for j, x := range vs {
				status := 200
				if w == "bad" {
					status = 401
				}
				a := load(t, x.p, 1200*time.Millisecond, status, always(reqs(x.m)[w]))
				if i > 0 {
					ratio[j] = append(ratio[j], a.rate/b.rate)
					cpu[j] = append(cpu[j], float64(a.server.Nanoseconds())/1000)
					tail[j] = append(tail[j], a.p99.Seconds()/b.p99.Seconds())
				}
			}
			fcpu = append(fcpu, float64(b.server.Nanoseconds())/1000)
		}
		f, _ := median(fcpu)
		for j, x := range vs {
			r, s := median(ratio[j])
			c, _ := median(cpu[j])
			p, _ := median(tail[j])
			fmt.Printf("%-8s %-16s rate ratio %.2f (%.2f)  cpu %.1f/%.1f = ×%.2f  p99 ×%.2f\n", w, x.name, r, s, c, f, f/c, p)
		}
	}
}
