package console

import "github.com/latchkey-dev/latchkey/service"

type instancePage struct {
	Instance service.Instance
	Version  string
	URL      string
}

// showInstance answers operators only. Everyone else gets "not found".
func showInstance(v *visit) error {
	instance, err := v.app.Instance(v.ctx(), v.caller)
	if err != nil {
		return err
	}
	return v.render(done, "instance", "Instance", instancePage{
		Instance: instance, Version: v.console.config.Version, URL: v.console.config.PublicURL,
	})
}
