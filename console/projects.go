package console

import (
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

func showNewProject(v *visit) error {
	o, _, err := v.organization()
	if err != nil {
		return err
	}
	return v.newProject(o, newForm())
}

func (v *visit) newProject(o *service.Organization, f form) error {
	if err := o.Authorize(domain.ProjectsWrite); err != nil {
		return err
	}
	return v.render(f.status, "project-new", "New project", settingsPage{Form: f})
}

func createProject(v *visit, o *service.Organization, _ domain.MemberOf, f form) error {
	project, err := o.CreateProject(v.ctx(), domain.ProjectSpec{
		Name: f.Text("name"), Slug: f.Text("slug"), KeyPrefix: f.Text("key_prefix"),
	})
	if err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.newProject(o, f)
	}
	return v.redirect(projectURL(project))
}

type projectPage struct {
	Project    domain.Project
	MayCreate  bool
	Statistics domain.KeyStatistics
	Status     chart
	Changes    chart
	Expiries   chart
	Usage      chart
	Rows       []usageRow // the same as a table
	Used       bool       // within the time of the chart
	Busiest    []usageRow // of the last 24 hours
}

// showProject shows the overview: charts of the keys, or how to create the first.
func showProject(v *visit) error {
	p, project, err := v.project()
	if err != nil {
		return err
	}
	statistics, err := p.KeyStatistics(v.ctx(), v.layout.Now.AddDate(0, 0, -historyDays))
	if err != nil {
		return err
	}
	period := usagePeriods[defaultPeriod]
	q := domain.UsageQuery{Since: period.start(v.layout.Now, 0), Interval: period.interval, Limit: domain.MaxPageSize}
	usage, err := p.Usage(v.ctx(), q)
	if err != nil {
		return err
	}
	q.Since = usagePeriods[lastDay].start(v.layout.Now, 0)
	busiest, err := v.busiest(p, project, q, domain.ByKey, period)
	if err != nil {
		return err
	}
	return v.render(done, "project", project.Name, projectPage{
		Project:    project,
		MayCreate:  p.Holds(domain.KeysWrite),
		Statistics: statistics,
		Status:     statusChart(statistics),
		Changes:    changesChart(statistics, v.layout.Now),
		Expiries:   expiriesChart(statistics, v.layout.Now),
		Usage:      usageChart(usage.Items, period, v.layout.Now),
		Rows:       usageRows(usage.Items, period),
		Used:       len(usage.Items) > 0,
		Busiest:    busiest[:min(len(busiest), 5)],
	})
}

func showProjectSettings(v *visit) error {
	p, project, err := v.project()
	if err != nil {
		return err
	}
	return v.projectSettings(p, project, projectForm(project), newForm(), newForm())
}

func projectForm(p domain.Project) form {
	return newForm("name", p.Name, "slug", p.Slug, "key_prefix", p.KeyPrefix, "on_leak", string(p.OnLeak)).at(p.Revision)
}

func (v *visit) projectSettings(p *service.Project, project domain.Project, settings, deletion, disabling form) error {
	if err := p.Authorize(domain.ProjectWrite); err != nil {
		return err
	}
	status := settings.status.or(deletion.status).or(disabling.status)
	return v.render(status, "project-settings", "Project settings", settingsPage{
		Form:      settings,
		Deletion:  deletion,
		Disabling: disabling,
		Status:    project.Status,
		MayDelete: p.Holds(domain.ProjectDelete),
		Notice:    saved[v.QueryParam("notice")],
	})
}

func updateProject(v *visit, p *service.Project, project domain.Project, f form) error {
	name, slug, prefix := f.Text("name"), f.Text("slug"), f.Text("key_prefix")
	patch := domain.ProjectPatch{Name: &name, Slug: &slug, KeyPrefix: &prefix}
	if f.Get("on_leak") != "" { // a form of before has none
		patch.OnLeak = new(domain.OnLeak(f.Get("on_leak")))
	}
	p.Expect(f.expects())
	if _, err := p.Update(v.ctx(), patch); err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.projectSettings(p, project, f.at(project.Revision), newForm(), newForm())
	}
	return v.redirect(projectURL(project) + "/settings?notice=saved")
}

func setProjectStatus(v *visit, p *service.Project, project domain.Project, f form) error {
	status := domain.Status(f.Get("status"))
	if status != domain.Active && !f.typed(project.Name) {
		return v.projectSettings(p, project, projectForm(project), newForm(), f)
	}
	if _, err := p.Update(v.ctx(), domain.ProjectPatch{Status: &status}); err != nil {
		return err
	}
	return v.redirect(projectURL(project) + "/settings?notice=" + string(status))
}

func deleteProject(v *visit, p *service.Project, project domain.Project, f form) error {
	if f.typed(project.Name) {
		err := p.Delete(v.ctx())
		if err == nil {
			return v.redirect(organizationURL(*v.layout.Organization))
		}
		if err := v.confirm(err, projectURL(project)+"/settings"); err != nil || v.Response().Committed {
			return err
		}
	}
	return v.projectSettings(p, project, projectForm(project), f, newForm())
}
