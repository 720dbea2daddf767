package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service"
)

// findMasterKey returns the master key of the settings, or the one beside an
// SQLite database. It creates that one if the database has never had a key.
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
		text := fmt.Sprintf("there is no master key at %s yet; serve, quickstart and user create make one", path)
		return key, errors.Join(err, &missingError{text})
	}
	if err := s.makeMasterKey(ctx, store, path); err != nil {
		return key, err
	}
	return readMasterKey(path)
}

// masterKeyPath returns the path of the master key when no setting has it, or "".
func (s *settings) masterKeyPath() string {
	if s.MasterKeyFile != "" || s.MasterKey != "" || s.postgres() {
		return s.MasterKeyFile
	}
	return filepath.Join(filepath.Dir(s.sqlitePath()), "latchkey.key")
}

func readMasterKey(path string) ([32]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil && looksLikeKey(path) {
		return [32]byte{}, fmt.Errorf("there is no such file; %sMASTER_KEY takes the key itself", settingPrefix)
	}
	if err != nil {
		return [32]byte{}, fmt.Errorf("the master key cannot be read: %w", err)
	}
	key, err := service.ParseMasterKey(string(text))
	if err != nil {
		return key, fmt.Errorf("the file %s holds no master key: %w", path, err)
	}
	return key, nil
}

// looksLikeKey reports whether a path may be a key that was given in its place:
// whether it has no characters but those of base64 or hexadecimal, and enough of
// them. Such a path is not repeated.
func looksLikeKey(path string) bool { return keyLike.MatchString(path) }

var keyLike = regexp.MustCompile(`^\s*[A-Za-z0-9+/_-]{32,}=*\s*$`)

// makeMasterKey writes a new key to path, which does not exist. It fails if the
// database was already used with a key, which must have been lost. When two
// processes start at the same time, one creates the file and both use it.
func (s *settings) makeMasterKey(ctx context.Context, store *repository.Store, path string) error {
	used, err := service.HasMasterKey(ctx, store)
	if err != nil {
		return err
	}
	if used {
		return fmt.Errorf("%s is gone: %s was first used with the master key in it, and with another one no API key and no session "+
			"would be valid. Put the file back, or set %sMASTER_KEY to its content", path, s.sqlitePath(), settingPrefix)
	}
	// The key is first written to another file, so that no process reads half a key.
	// The link fails when the name is taken, and never replaces it.
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

// syncFolder makes a new file name in a folder durable.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
