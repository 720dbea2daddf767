//go:build screenshots

package console_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// documented has the pictures that the pages of docs show.
var documented = map[string]string{
	"key-token": "console-token.webp", "keys": "console-keys.webp", "project": "console-overview.webp",
}

// TestScreenshots takes a picture of every page, light and dark, on a desktop and on
// a phone, into build/screenshots, to look at them. It also writes those that docs
// show, as they are above the fold.
func TestScreenshots(t *testing.T) {
	folder := filepath.Join("..", "build", "screenshots")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	s := newServer(t)
	b := newTab(t, s)
	_, err := chromedp.Call(b.ctx, emulation.SetScrollbarsHidden, emulation.SetScrollbarsHiddenParams{Hidden: true})
	b.do(err)
	shoot := func(name string) {
		t.Helper()
		for _, scheme := range []string{"light", "dark"} {
			for device, size := range map[string][2]int64{"desktop": {1280, 860}, "phone": {390, 844}} {
				_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					Features: []*emulation.MediaFeature{
						{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
					},
				})
				b.do(err)
				b.do(chromedp.Do(b.ctx, chromedp.EmulateViewport(size[0], size[1])))
				png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
				b.do(err)
				if err := os.WriteFile(filepath.Join(folder, name+"-"+device+"-"+scheme+".png"), png, 0o644); err != nil {
					t.Fatal(err)
				}
				if file := documented[name]; file != "" && device == "desktop" && scheme == "light" {
					b.document(file)
				}
			}
		}
	}
	at := func(path, name string) {
		t.Helper()
		b.open(path)
		shoot(name)
	}

	at("/console", "sign-up")
	ann := s.signUp(t, "ann@example.com")
	at("/console/sign-in", "sign-in")
	at("/console/forgot-password", "forgot-password")
	at("/console/reset-password", "reset-password")
	at("/console/verify-email", "verify-email")
	at("/console/invitation", "invitation-first")
	b.signedIn(ann)
	at("/console", "welcome")
	org, project, p := ann.project(t, "Acme", "Documents API")
	at("/console/projects/"+string(project.ID), "project-empty")
	at("/console/projects/"+string(project.ID)+"/keys", "keys-empty")

	var last domain.Key
	names := []string{"billing-service", "mobile-backend", "nightly-export", "partner: Globex", "partner: Initech",
		"search-indexer", "mailer", "status-page",
		"load-test", "etl-warehouse", "web-frontend", "android-canary", "edge-workers"}
	now := s.Now()
	s.Pass(-26 * 24 * time.Hour)
	for i, name := range names {
		s.Pass(time.Duration(i%4) * 22 * time.Hour)
		spec := domain.KeySpec{Name: name, Scopes: []domain.Scope{"documents:read", "documents:write", "keys:verify",
			"invoices:read"}[:i%5], ExternalID: []string{"", "globex", "initech", "umbrella"}[i%4]}
		if i%3 == 1 {
			spec.Environment = domain.Test
		}
		if i%3 == 2 {
			spec.ExpiresAt = s.Now().AddDate(0, 0, 9*i-20)
		}
		key, token, err := p.CreateKey(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if i == 3 || i == 8 {
			if _, err := p.RevokeKey(t.Context(), key.ID, "The contract has ended"); err != nil {
				t.Fatal(err)
			}
		}
		if i == 6 {
			if _, _, err := p.RotateKey(t.Context(), key.ID, domain.Rotation{}); err != nil {
				t.Fatal(err)
			}
		}
		if i%4 != 1 {
			s.Pass(time.Duration(i+1) * time.Hour)
			s.call(t.Context(), t, token.Reveal())
			if err := s.App.RecordUses(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		last = key
	}
	s.Pass(now.Sub(s.Now()))
	base := "/console/projects/" + string(project.ID)
	s.makeUsage(t, p, now)
	at(base, "project")
	at(base+"/keys", "keys")
	for _, period := range []string{"24h", "7d", "30d", "12m"} {
		at(base+"/usage?period="+period, "usage-"+period)
	}
	at(base+"/usage?external_id=nothing", "usage-empty")
	at(base+"/keys?search=nothing-like-it", "keys-none")
	at(base+"/keys/new", "key-new")
	b.fill("name", "reporting-service").fill("more_scopes", "documents:read reports:write").follow("Create key")
	b.shows("Your key is ready")
	shoot("key-token")
	b.press("Change")
	shoot("key-change")
	at(base+"/keys/"+string(last.ID), "key")
	list, err := p.ListKeys(t.Context(), domain.KeyFilter{Status: domain.KeyRevoked}, domain.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	at(base+"/keys/"+string(list.Items[0].ID), "key-revoked")
	at(base+"/keys/revoke?key="+string(last.ID), "keys-revoke")
	at(base+"/plans", "plans-empty")
	at(base+"/plans/new", "plan-new")
	var plan domain.Plan
	for _, name := range []string{"Free", "Pro"} {
		plan, err = p.CreatePlan(t.Context(), domain.PlanSpec{Name: name, Limits: []domain.Limit{
			{Name: "requests", Type: domain.RateLimit, Limit: domain.Allow(100), Period: domain.PeriodDay, Per: domain.PerExternalID},
			{Name: "monthly", Type: domain.Quota, Limit: domain.Unlimited()},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	at(base+"/plans", "plans")
	at(base+"/plans/"+string(plan.ID), "plan")
	at(base+"/plans/"+string(plan.ID)+"/delete", "plan-delete")
	limited, token, err := p.CreateKey(t.Context(), domain.KeySpec{
		Name: "globex-sync", ExternalID: "globex", PlanID: plan.ID, Limits: []domain.Limit{
			{Name: "exports", Type: domain.RateLimit, Limit: domain.Allow(20), Period: domain.PeriodDay, Burst: new(int64(5))},
			{Name: "imports", Type: domain.RateLimit, Limit: domain.Allow(10), Period: domain.PeriodDay, Mode: domain.Observe},
		}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		cost := domain.Cost{"exports": int64(i / 5)}
		if _, err := p.VerifyKey(t.Context(), service.Question{Token: token.Reveal(), Cost: cost}); err != nil {
			t.Fatal(err)
		}
	}
	at(base+"/keys/"+string(limited.ID), "key-limits")
	b.open(base + "/plans/new")
	b.fill("name", "Growth").fill("limits", `[{"name":"daily","type":"quota","limit":300,"period":"day"},`+
		`{"name":"requests","type":"rate","limit":10,"period":"minute","burst":5}]`).follow("Rehearse")
	shoot("plan-rehearsal")
	at(base+"/customers", "customers")
	s.makeCredits(t, p)
	at(base+"/customers/show?external_id=initech", "customer")
	at(base+"/credits?external_id=initech", "credits")
	b.open(base + "/credits/new?external_id=initech&limit=credits")
	shoot("credits-grant")
	b.fill("amount", "500").fill("reason", "invoice 2026-118").follow("Continue")
	shoot("credits-confirm")
	at(base+"/settings", "project-settings")
	b.open(base + "/keys/new")
	b.fill("name", "x").fill("more_scopes", "Documents").follow("Create key")
	shoot("key-error")
	at("/console/organizations/"+string(org.ID), "organization")
	at("/console/organizations/"+string(org.ID)+"/settings", "organization-settings")
	at("/console/organizations/"+string(org.ID)+"/projects/new", "project-new")
	at("/console/organizations/"+string(org.ID)+"/audit", "audit")
	at("/console/organizations/"+string(org.ID)+"/members", "members")
	b.fill("email", "bob@example.com").choose("role", "viewer").follow("Invite")
	shoot("members-invited")
	at("/console/invitation?token=x", "invitation")
	inside := "/console/organizations/" + string(org.ID) + "/service-accounts"
	at(inside, "service-accounts-empty")
	o, err := s.App.Organization(t.Context(), ann.caller, org.ID)
	if err != nil {
		t.Fatal(err)
	}
	terraform, err := o.CreateServiceAccount(t.Context(), domain.ServiceAccountSpec{Name: "terraform", Role: domain.Admin})
	if err != nil {
		t.Fatal(err)
	}
	at(inside, "service-accounts")
	b.open(inside + "/" + string(terraform.ID))
	b.fill("token-name", "pipeline").follow("Create token")
	shoot("service-account-token")
	at(inside+"/"+string(terraform.ID), "service-account")
	at(inside+"/"+string(terraform.ID)+"/delete", "service-account-delete")
	at("/console/instance", "instance")
	at("/console/instance/accounts", "accounts")
	at("/console/organizations/new", "organization-new")
	at("/console?all=1", "organizations")
	at("/console/account", "account")
	at("/console/desk", "desk")
	b.fill("leaked", token.Reveal()).follow("Find the key")
	b.shows("globex-sync")
	shoot("desk-found")
	at("/console/nowhere", "error")
}

// document writes what the window shows as a picture of docs.
func (b *tab) document(file string) {
	b.t.Helper()
	quality := int64(90)
	shot, err := chromedp.Call(b.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{
		Format: page.CaptureScreenshotFormatWebp, Quality: &quality,
	})
	b.do(err)
	b.do(os.WriteFile(filepath.Join("..", "docs", file), shot.Data, 0o644))
}

// makeUsage writes a year of made-up usage of the first keys of a project: busy on
// working days, growing, with some refusals.
func (s *server) makeUsage(t *testing.T, p *service.Project, now time.Time) {
	t.Helper()
	keys, err := p.ListKeys(t.Context(), domain.KeyFilter{}, domain.Page{Limit: 8})
	if err != nil {
		t.Fatal(err)
	}
	project, err := p.Get()
	if err != nil {
		t.Fatal(err)
	}
	number := int64(0)
	for back := 364 * 24; back >= 0; back -= 3 {
		at := now.Add(-time.Duration(back) * time.Hour)
		size := int64(20 + (365*24-back)/400)
		if at.Weekday() == time.Saturday || at.Weekday() == time.Sunday {
			size /= 4
		}
		size += int64(12-abs(at.Hour()-13)) * size / 12
		var counts []domain.UsageCount
		for i, k := range keys.Items {
			add := func(o domain.Outcome, n int64) {
				counts = append(counts, domain.UsageCount{
					OrganizationID: project.OrganizationID,
					ProjectID:      project.ID,
					KeyID:          k.ID,
					ExternalID:     []string{"", "globex", "initech"}[i%3],
					Environment:    k.Environment,
					Outcome:        o,
					Count:          n,
				})
			}
			add(domain.OutcomeValid, size/int64(i+1)+1)
			if i == 1 && back%5 == 0 {
				add(domain.OutcomeRateLimited, size/6+1)
			}
			if i == 2 && back%7 == 0 {
				add(domain.OutcomeExpired, size/8+1)
			}
		}
		number++
		batch := domain.UsageBatch{NodeID: "made up", Number: number, At: at, Counts: counts}
		if err := s.Store.RecordUsage(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Store.EndUsage(t.Context(), "made up"); err != nil {
		t.Fatal(err)
	}
}

// makeCredits gives a customer a plan with credits, and two grants.
func (s *server) makeCredits(t *testing.T, p *service.Project) {
	t.Helper()
	plan, err := p.CreatePlan(t.Context(), domain.PlanSpec{Name: "Prepaid", Limits: []domain.Limit{
		{Name: "credits", Type: domain.Credits, Initial: new(int64(1000)), Per: domain.PerExternalID},
		{Name: "monthly", Type: domain.Quota, Limit: domain.Allow(100_000), Period: domain.PeriodMonth, Per: domain.PerExternalID},
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, token, err := p.CreateKey(t.Context(), domain.KeySpec{Name: "initech-sync", ExternalID: "initech", PlanID: plan.ID})
	if err != nil {
		t.Fatal(err)
	}
	for _, amount := range []int64{5000, -200} {
		grant := domain.CreditGrant{Limit: "credits", ExternalID: "initech", Amount: amount, Reason: "invoice 2026-117"}
		if _, err := p.GrantCredits(t.Context(), grant); err != nil {
			t.Fatal(err)
		}
	}
	cost := domain.Cost{"credits": 1234, "monthly": 90_000}
	if _, err := p.VerifyKey(t.Context(), service.Question{Token: token.Reveal(), Cost: cost}); err != nil {
		t.Fatal(err)
	}
}

func abs(n int) int { return max(n, -n) }
