package service

import "github.com/latchkey-dev/latchkey/service/fair"

// Turns is how a scarce thing of this node is shared out.
type Turns struct {
	fair.Stats

	Of string
}

// Turns returns how the scarce things of this node are shared out: turns to hash
// passwords and imported tokens, and places for large bodies, reports of leaks, exports and sums. The
// list has always the same things.
func (a *App) Turns() []Turns {
	return []Turns{
		{a.passwords.networks.Stats(), "passwords"},
		{a.foreign.gate.Stats(), "imported_hashes"},
		{a.scarce.bodies.networks.Stats(), "large_bodies"},
		{a.scarce.reports.networks.Stats(), "large_reports"},
		{a.scarce.exports.networks.Stats(), "exports"},
		{a.scarce.sums.networks.Stats(), "usage_sums"},
		{a.leases.room.Stats(), "limit_visits"},
	}
}
