package journal

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// bootFile has another text after each start of the machine.
const bootFile = "/proc/sys/kernel/random/boot_id"

// remote are file systems whose pages may be changed by another machine, or lost while
// this one runs, by the numbers that statfs has for them.
var remote = map[int64]string{
	0x6969: "NFS", 0x517b: "SMB", 0xfe534d42: "SMB2", 0xff534d42: "CIFS", 0x65735546: "FUSE", 0x00c36400: "Ceph",
	0x01021997: "9P", 0x5346414f: "AFS", 0x61756673: "aufs", 0x7461636f: "OCFS2", 0x01161970: "GFS2", 0x0bd00bd0: "Lustre",
	0x73757245: "Coda", 0x47504653: "GPFS", 0x19830326: "BeeGFS", 0x61636673: "ACFS", 0xa501fcf5: "VxFS",
}

func isLocal(f *os.File) error {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
		return err
	}
	if name, is := remote[int64(uint32(s.Type))]; is { //nolint:gosec // the type has other widths on other processors
		return fmt.Errorf("%w: it is on %s", ErrRemote, name)
	}
	return nil
}

func lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrTaken
	}
	return err
}

// placeOf says which file it is, of which boot of the machine.
func placeOf(f *os.File) (string, error) {
	boot, err := os.ReadFile(bootFile)
	if err != nil {
		return "", err
	}
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s/%d/%d", strings.TrimSpace(string(boot)), s.Dev, s.Ino), nil
}

func allocate(f *os.File, at, size int64) error {
	return unix.Fallocate(int(f.Fd()), 0, at, size)
}

func mapped(f *os.File, at int64, size int) ([]byte, error) {
	return unix.Mmap(int(f.Fd()), at, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

func unmap(b []byte) { _ = unix.Munmap(b) } // it was mapped

func unlock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }
