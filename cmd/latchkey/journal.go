package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/latchkey-dev/latchkey/service/journal"
)

const journalName = "latchkey.journal"

// noJournal is the setting for none.
const noJournal = "none"

// journalPath returns where the journal is; empty: there is none. chosen reports whether
// the operator says so.
func (s *settings) journalPath() (path string, chosen bool) {
	switch state := os.Getenv("STATE_DIRECTORY"); {
	case s.Journal == noJournal:
		return "", true
	case s.Journal != "":
		return s.Journal, true
	case !s.postgres():
		return filepath.Join(filepath.Dir(s.sqlitePath()), journalName), false
	case filepath.IsAbs(state): // systemd lists several with colons, which are in no path then
		return filepath.Join(state, journalName), false
	}
	return "", false
}

// openJournal opens the journal. One that the operator has chosen must work; otherwise
// the server does without, and says so.
func (s *settings) openJournal(log *slog.Logger) (*journal.File, error) {
	path, chosen := s.journalPath()
	if path == "" {
		return nil, nil //nolint:nilnil // no journal is a good answer
	}
	j, err := journal.Open(path)
	if err == nil {
		return j, nil
	}
	if chosen {
		return nil, fmt.Errorf("open the journal (%sJOURNAL): %w", settingPrefix, err)
	}
	log.Warn("there is no journal, so kill -9 loses what this node has leased of quotas and credits", "error", err,
		"set", settingPrefix+"JOURNAL")
	return nil, nil //nolint:nilnil // the same
}

// checkJournal reports what the journal has that servers use with these settings.
func (d *doctor) checkJournal() {
	path, chosen := d.settings.journalPath()
	if path == "" {
		d.ok("journal: none, so kill -9 loses what a node has leased of quotas and credits")
		return
	}
	info, err := journal.Inspect(path)
	switch {
	case os.IsNotExist(err) && !chosen:
		d.ok("journal: none yet at %s", path)
	case err != nil:
		d.note("the journal cannot be read: %s", explain(err))
	case info.InUse:
		d.ok("journal: %s, %d bytes, of node %s, which runs", path, info.Bytes, info.Node)
	case info.Node != "" && info.Leases > 0:
		d.note("the journal %s has %d leases of node %s, which was killed: start a server with it to settle them",
			path, info.Leases, info.Node)
	default:
		d.ok("journal: %s, %d bytes, with nothing to settle", path, info.Bytes)
	}
}
