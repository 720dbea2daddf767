package domain

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
)

// Position is how far the stale notes of the database have been read: the notes of
// which transactions are in. It has the form of a snapshot, since transactions commit
// in another order than they begin. The zero value is before all notes.
type Position struct {
	Epoch   uint64  // of the database: another one after a restart or a failover, so that numbers of its past mean nothing
	End     int64   // all transactions from this number on are not in
	Running []int64 // of those before, which are not; ascending
}

// maxRunning bounds the running transactions that a cursor lists.
const maxRunning = 200

// maxPositionLength bounds the text of a position.
const maxPositionLength = 2048

// IsZero reports whether p is before all notes.
func (p Position) IsZero() bool { return p.End == 0 }

// Has reports whether the notes of a transaction are in.
func (p Position) Has(transaction int64) bool {
	_, running := slices.BinarySearch(p.Running, transaction)
	return transaction < p.End && !running
}

// Covers reports whether everything that is in q is in p, too.
func (p Position) Covers(q Position) bool {
	if p.Epoch != q.Epoch || q.End > p.End {
		return false
	}
	return !slices.ContainsFunc(p.Running, q.Has)
}

// String returns the opaque form that clients send back. If too many transactions are
// running, it is of an earlier position: a note may then be read twice, but none is
// left out.
func (p Position) String() string {
	if len(p.Running) > maxRunning {
		p.End, p.Running = p.Running[maxRunning], p.Running[:maxRunning]
	}
	b := binary.BigEndian.AppendUint64(nil, p.Epoch)
	b = binary.AppendUvarint(b, uint64(p.End)) //nolint:gosec // transactions have positive numbers
	last := p.End
	for _, running := range slices.Backward(p.Running) {
		b = binary.AppendUvarint(b, uint64(last-running)) //nolint:gosec // they descend
		last = running
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParsePosition reads what String returned. It reports false for other texts. A
// position that someone has made up is harmless: it is only about what they are shown.
func ParsePosition(text string) (p Position, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(text) > maxPositionLength || len(b) < 8 {
		return Position{}, false
	}
	p.Epoch, b = binary.BigEndian.Uint64(b), b[8:]
	next := func() int64 {
		n, length := binary.Uvarint(b)
		if length <= 0 || n == 0 || n > 1<<62 {
			ok = false
			return 0
		}
		b = b[length:]
		return int64(n)
	}
	ok = true
	p.End = next()
	for last := p.End; ok && len(b) > 0; {
		last -= next()
		p.Running = append(p.Running, last)
		ok = ok && last > 0 && len(p.Running) <= maxRunning
	}
	slices.Reverse(p.Running)
	if !ok {
		return Position{}, false
	}
	return p, true
}
