// Package journal keeps what a node has spent of its leases in a file that is mapped
// into memory. What a process has written to such memory belongs to the kernel, so it
// outlives the process: kill -9, a panic, the OOM killer. It does not outlive the
// machine, and it must not be a copy. So the header says on which device, under which
// inode and in which boot the file was written, and how often it was begun; the row of
// each lease repeats that. What does not fit is forfeited, and never spent twice.
//
//	file     [ header | chunk | chunk | … ]
//	chunk    [ slot | slot | … ]             of one size
//	slot     [ domain.Record | text of the counter ]
//
// The file has ids, names of limits and counts: no token and no digest.
package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"github.com/latchkey-dev/latchkey/domain"
)

const (
	magic      = "latchkey journal 1\n"
	headerSize = 4096
	chunkSize  = 1 << 20

	// mostBytes bounds the file. Leases beyond it are kept by the process alone.
	mostBytes = 1 << 30
)

// The sizes of slots: most counters have short names.
var slotSizes = [...]int{256, 576}

// Why a journal cannot be used.
var (
	ErrTaken  = errors.New("another process has it")
	ErrRemote = errors.New("the file system is not a local one")
	ErrSystem = errors.New("this operating system has no journal; use LATCHKEY_JOURNAL=none")
)

const recordSize = int(unsafe.Sizeof(domain.Record{}))

// File is an open journal, which no other process has.
type File struct {
	file   *os.File
	id     string
	former Former

	mu     sync.Mutex
	header []byte
	chunks [][]byte
	free   [len(slotSizes)][]*domain.Record
	slots  map[*domain.Record]int // the size of the slot, by its number
}

// Former is what the process before this one has left.
type Former struct {
	Node   string // that the leases are of; empty: nothing
	ID     string // what their rows repeat; empty: they cannot be trusted, because the file is a copy or the machine was started anew
	Why    string // they cannot be trusted
	Leases map[domain.ProjectCounter]*domain.Record
}

// Open opens the journal at a path, or makes one. It fails if another process has it,
// or if the file system is not one of this machine.
func Open(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	j := &File{file: f, slots: map[*domain.Record]int{}}
	if err := j.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), j.Close())
	}
	return j, nil
}

func (j *File) open() error {
	if err := lock(j.file); err != nil {
		return err
	}
	if err := isLocal(j.file); err != nil {
		return err
	}
	if size, err := j.size(); err != nil || size < headerSize {
		if err = errors.Join(err, allocate(j.file, 0, headerSize)); err != nil {
			return err
		}
	}
	return j.read()
}

// read maps the file and reads what the process before this one has left.
func (j *File) read() error {
	size, err := j.size()
	if err != nil {
		return err
	}
	if size < headerSize {
		return errors.New("it is no journal")
	}
	if j.header, err = mapped(j.file, 0, headerSize); err != nil {
		return err
	}
	for at := int64(headerSize); at+chunkSize <= size; at += chunkSize {
		chunk, err := mapped(j.file, at, chunkSize)
		if err != nil {
			return err
		}
		j.chunks = append(j.chunks, chunk)
	}
	return j.readFormer()
}

func (j *File) size() (int64, error) {
	info, err := j.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// readFormer reads what the process before this one has left.
func (j *File) readFormer() error {
	place, err := placeOf(j.file)
	if err != nil {
		return err
	}
	node, id := j.texts()
	was, generation := generationOf(id)
	j.id = fmt.Sprintf("%s/%d", place, generation+1)
	if node == "" {
		return nil
	}
	j.former = Former{Node: node, ID: id, Leases: map[domain.ProjectCounter]*domain.Record{}}
	if was != place {
		j.former.ID, j.former.Why = "", fmt.Sprintf("it was written as %s and is %s now", was, place)
		return nil
	}
	for _, chunk := range j.chunks {
		j.readChunk(chunk)
	}
	return nil
}

// readChunk adds the leases of a chunk to those of the former process.
func (j *File) readChunk(chunk []byte) {
	size := int(binary.LittleEndian.Uint32(chunk))
	if size < 2*recordSize || size > chunkSize/2 {
		return
	}
	for at := size; at+size <= len(chunk); at += size {
		r := recordAt(chunk, at)
		if r.IsFree() {
			continue
		}
		if c, ok := readCounter(chunk[at+recordSize : at+size]); ok {
			j.former.Leases[c] = r
		}
	}
}

func recordAt(chunk []byte, at int) *domain.Record {
	return (*domain.Record)(unsafe.Pointer(&chunk[at])) //nolint:gosec // a slot begins with one, at a multiple of its size
}

// ID is what the rows of this process's leases repeat.
func (j *File) ID() string { return j.id }

// Former returns what the process before this one has left. It is to be read before
// Begin.
func (j *File) Former() Former { return j.former }

// Begin forgets what the process before this one has left, and begins anew for a node.
func (j *File) Begin(node string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.former = Former{}
	clear(j.header)
	j.drop()
	if err := j.file.Truncate(headerSize); err != nil {
		return err
	}
	copy(j.header[len(magic):], appendText(appendText(nil, node), j.id))
	copy(j.header, magic) // last: from here on it is a journal
	return nil
}

// drop gives up the chunks.
func (j *File) drop() {
	for _, chunk := range j.chunks {
		unmap(chunk)
	}
	j.chunks, j.free = nil, [len(slotSizes)][]*domain.Record{}
	clear(j.slots)
}

// Lease returns a record for what is spent of a counter; nil if there is no room.
func (j *File) Lease(c domain.ProjectCounter) *domain.Record {
	text := appendCounter(nil, c)
	for i, size := range slotSizes {
		if recordSize+len(text) <= size {
			return j.begin(i, text)
		}
	}
	return nil
}

// begin begins a record in a slot of a size.
func (j *File) begin(size int, text []byte) *domain.Record {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.free[size]) == 0 && !j.grow(size) {
		return nil
	}
	last := len(j.free[size]) - 1
	r := j.free[size][last]
	j.free[size] = j.free[size][:last]
	slot := unsafe.Slice((*byte)(unsafe.Pointer(r)), slotSizes[size]) //nolint:gosec // the slot that the record begins
	copy(slot[recordSize:], text)
	clear(slot[recordSize+len(text):])
	r.Open()
	j.slots[r] = size
	return r
}

// grow adds a chunk of slots. Its space is taken before it is used, so that a full disk
// is no fault of a later store.
func (j *File) grow(size int) bool {
	at := int64(headerSize + len(j.chunks)*chunkSize)
	if at+chunkSize > mostBytes || allocate(j.file, at, chunkSize) != nil {
		return false
	}
	chunk, err := mapped(j.file, at, chunkSize)
	if err != nil {
		return false
	}
	j.chunks = append(j.chunks, chunk)
	step := slotSizes[size]
	for at := step; at+step <= len(chunk); at += step {
		j.free[size] = append(j.free[size], recordAt(chunk, at))
	}
	binary.LittleEndian.PutUint32(chunk, uint32(step)) //nolint:gosec // a size of a slot
	return true
}

// Release gives up a record. Nothing takes from its lease any more.
func (j *File) Release(r *domain.Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if size, known := j.slots[r]; known {
		r.Free()
		delete(j.slots, r)
		j.free[size] = append(j.free[size], r)
	}
}

// Bytes returns the size of the file.
func (j *File) Bytes() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return int64(headerSize + len(j.chunks)*chunkSize)
}

// End says that nothing is left for the next process.
func (j *File) End() {
	j.mu.Lock()
	defer j.mu.Unlock()
	clear(j.header[:len(magic)])
}

// Close gives up the file, for another process. What is mapped of it stays, since a
// request that no one waits for may still have a record.
func (j *File) Close() error { return errors.Join(unlock(j.file), j.file.Close()) } // the mapping would keep the lock
