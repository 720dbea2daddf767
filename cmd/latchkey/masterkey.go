package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service"
)

// findMasterKey returns the master key of the settings, or the one beside an
// SQLite database, which it makes for a database that has never had one.
func (s *settings) findMasterKey(ctx context.Context, store *repository.Store) ([32]byte, error) {
	if s.masterKey != nil {
		return *s.masterKey, nil
	}
	path := s.masterKeyPath()
	key, err := readMasterKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if used, err := service.HasMasterKey(ctx, store); err != nil || !used && !s.makes {
		return key, errors.Join(err, &missingError{fmt.Sprintf("there is no master key at %s yet; serve, quickstart and user create make one", path)})
	}
	if err := s.makeMasterKey(ctx, store, path); err != nil {
		return key, err
	}
	return readMasterKey(path)
}

// masterKeyPath is where the master key is when no setting holds it, or "".
func (s *settings) masterKeyPath() string {
	if s.MasterKeyFile != "" || s.MasterKey != "" || s.postgres() {
		return s.MasterKeyFile
	}
	return filepath.Join(filepath.Dir(s.sqlitePath()), "latchkey.key")
}

func readMasterKey(path string) ([32]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return [32]byte{}, fmt.Errorf("the master key cannot be read: %w", err)
	}
	key, err := service.ParseMasterKey(string(text))
	if err != nil {
		return key, fmt.Errorf("the file %s holds no master key: %w", path, err)
	}
	return key, nil
}

// makeMasterKey writes a new key to path, which does not exist, unless the
// database has been used with a key that must have been lost. Of two processes
// that start at once, one makes the file and both use it.
func (s *settings) makeMasterKey(ctx context.Context, store *repository.Store, path string) error {
	used, err := service.HasMasterKey(ctx, store)
	if err != nil {
		return err
	}
	if used {
		return fmt.Errorf("%s is gone: %s was first used with the master key in it, and with another one no API key and no session "+
			"would be recognised. Put the file back, or set %sMASTER_KEY to what it held", path, s.sqlitePath(), settingPrefix)
	}
	// Written whole under another name first, so that nobody reads half a key;
	// the link fails when the name is taken, and never replaces it.
	draft, err := os.CreateTemp(filepath.Dir(path), ".latchkey-*.key") // 0600
	if err != nil {
		return fmt.Errorf("make a master key: %w", err)
	}
	defer os.Remove(draft.Name())
	_, err = draft.WriteString(service.NewMasterKey() + "\n")
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return fmt.Errorf("make a master key: %w", err)
	}
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make a master key: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a new name in a folder as durable as the file it names.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
