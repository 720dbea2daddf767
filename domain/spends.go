package domain

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Spending settles after the fact what a request of a key has cost.
type Spending struct {
	Token   Hidden // of the key, or KeyID
	KeyID   KeyID
	Cost    map[string]int64 // by the names of limits; negative: given back
	SpendID string           // of the verification that took what is given back; empty: none

	IdempotencyKey Hidden // makes a lost answer recoverable: see ValidateIdempotencyKey
}

// Validate returns validation_failed, naming every field that is wrong.
func (s Spending) Validate() error {
	var v Invalid
	switch {
	case s.Token.Reveal() == "" && s.KeyID == "":
		v.Add("/key", "must be given, or key_id instead of it")
	case s.Token.Reveal() != "" && s.KeyID != "":
		v.Add("/key_id", "must not be given beside key")
	}
	if len(s.Cost) == 0 || len(s.Cost) > MaxLimits {
		v.Add("/cost", "must have 1 to %d entries", MaxLimits)
		return v.Err()
	}
	strange := false
	for _, name := range slices.Sorted(maps.Keys(s.Cost)) {
		switch units := s.Cost[name]; {
		case !limitName.MatchString(name):
			strange = true
		case units < -MaxUnits || units > MaxUnits:
			v.Add("/cost/"+name, "must be -%d to %d", MaxUnits, MaxUnits)
		}
	}
	if strange {
		v.Add("/cost", "must have names of limits only")
	}
	if s.SpendID != "" && !s.GivesBack() {
		v.Add("/spend_id", "must not be given without a negative cost")
	}
	return v.Err()
}

// GivesBack reports whether a cost is negative.
func (s Spending) GivesBack() bool {
	for _, units := range s.Cost {
		if units < 0 {
			return true
		}
	}
	return false
}

// Spent is what a spending has done, by the names of those limits that the key has.
type Spent struct {
	Spent map[string]int64 // negative: given back
	Short map[string]int64 // what was to be spent and is not there
}

// ReceiptLife is how long after a verification what it took can be given back.
const ReceiptLife = 24 * time.Hour

// Receipt is what an admitted verification took from the limits of a key.
type Receipt struct {
	Nonce [8]byte // no two receipts have the same one
	Key   KeyID
	At    time.Time // to the second
	Taken []Taken
}

// Taken are units of one limit.
type Taken struct {
	Name  string
	Units int64
	From  Origins
}

// Origins is a sum of the counter and the period that units are of.
type Origins [8]byte

// TakenFrom returns the sum of a counter and a period, which is zero for a rate.
func TakenFrom(c Counter, period time.Time) (o Origins) {
	at := int64(0)
	if !period.IsZero() {
		at = period.UnixMicro()
	}
	sum := sha256.Sum256([]byte(strconv.FormatInt(at, 10) + "/" + c.String()))
	copy(o[:], sum[:])
	return o
}

// Of returns what a receipt says of the limit of that name.
func (r Receipt) Of(name string) Taken {
	for _, t := range r.Taken {
		if t.Name == name {
			return t
		}
	}
	return Taken{}
}

// Append appends the receipt as ParseReceipt reads it.
func (r Receipt) Append(b []byte) []byte {
	b = append(b, r.Nonce[:]...)
	b = binary.AppendUvarint(b, uint64(max(0, r.At.Unix())))
	b = append(append(b, byte(len(r.Key))), r.Key...) //nolint:gosec // ids are short
	for _, t := range r.Taken {
		b = append(append(b, byte(len(t.Name))), t.Name...) //nolint:gosec // names are short
		b = binary.AppendUvarint(b, uint64(t.Units))        //nolint:gosec // no cost of a verification is negative
		b = append(b, t.From[:]...)
	}
	return b
}

// ParseReceipt reads what Append appends, and reports whether it is whole.
func ParseReceipt(b []byte) (r Receipt, ok bool) {
	p := receiptParser{rest: b}
	copy(r.Nonce[:], p.take(len(r.Nonce)))
	r.At = time.Unix(p.number(), 0).UTC()
	r.Key = KeyID(p.text())
	for len(p.rest) > 0 && !p.short {
		t := Taken{Name: p.text(), Units: p.number()}
		copy(t.From[:], p.take(len(t.From)))
		r.Taken = append(r.Taken, t)
	}
	return r, !p.short
}

// receiptParser reads from the front.
type receiptParser struct {
	rest  []byte
	short bool // there was less than was read
}

func (p *receiptParser) take(n int) []byte {
	if n > len(p.rest) {
		p.short = true
		return nil
	}
	taken := p.rest[:n]
	p.rest = p.rest[n:]
	return taken
}

func (p *receiptParser) text() string {
	length := p.take(1)
	if p.short {
		return ""
	}
	return string(p.take(int(length[0])))
}

func (p *receiptParser) number() int64 {
	n, size := binary.Uvarint(p.rest)
	if size <= 0 || n > MaxCapacity {
		p.short = true
		return 0
	}
	p.take(size)
	return int64(n)
}
