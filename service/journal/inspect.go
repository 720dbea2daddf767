package journal

import (
	"errors"
	"os"
)

// Info says what a journal has.
type Info struct {
	Node   string // whose it is; empty: nothing is in it
	Bytes  int64
	Leases int
	InUse  bool // by a process that runs
}

// Inspect reads the journal at a path, which another process may have.
func Inspect(path string) (info Info, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return Info{}, err
	}
	j := &File{file: f}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := lock(f); errors.Is(err, ErrTaken) {
		info.InUse = true
	} else if err != nil {
		return Info{}, err
	}
	if err := j.read(); err != nil {
		return Info{}, err
	}
	info.Node, info.Bytes, info.Leases = j.former.Node, j.Bytes(), len(j.former.Leases)
	j.drop()
	unmap(j.header)
	return info, nil
}
