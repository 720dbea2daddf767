package domain

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"time"
)

// The offsets of the parts that have a fixed size. Numbers are little-endian.
const (
	packedFlags     = 0 // 16 bits
	packedScopes    = 2 // 16 bits
	packedPepper    = 4 // 16 bits
	packedAlgorithm = 6
	packedCreator   = 7
	packedDigest    = 8
	packedTimes     = packedDigest + DigestLength
)

// flag is one of the 16 flags of a packed key.
type flag uint16

// The flags. The first three say which times exist, in their order.
const (
	packedExpires flag = 1 << iota
	packedValidUntil
	packedRevoked
	packedTest      // the environment
	packedOwnPrefix // the key and this token show the same prefix
	packedPlainID   // the creator's id is text, not an id of its kind
	packedLimited   // the key has a plan or limits of its own
	packedBound     // the key may be used from some networks only

	packedTimeFlags = packedExpires | packedValidUntil | packedRevoked
)

// The first texts, in the order in which they are packed. The key's own, which
// ownTexts lists, come behind them.
const (
	packedID = iota
	packedTokenID
	packedShown
	packedCreatorID
	packedLimits   // as JSON; empty: none
	packedNetworks // see packNetworks

	firstTexts // how many there are
)

// bareKey is a key without its methods, for what is packed as it is.
type bareKey Key

// ownTexts are the texts of a key that are packed as they are, in their order.
func (k *bareKey) ownTexts() []*string {
	return []*string{
		&k.Name,
		&k.ExternalID,
		&k.RevokedReason,
		&k.CreatedBy.Name,
		&k.Retiring.Prefix,
		(*string)(&k.Plan.ID),
		&k.Plan.Name,
	}
}

// ownTimes are the times behind the texts, in their order.
func (k *bareKey) ownTimes() []*time.Time {
	return []*time.Time{
		&k.RotatedAt,
		&k.Retiring.ValidUntil,
		&k.LeakedAt,
	}
}

// DigestLength is the length of a secret's digest, in bytes.
const DigestLength = 32

// PackKey appends k, as proved by s, to b. The result and the tenant make a
// ProvenKey. The last use is left out, since it is not part of the key's state.
func PackKey(b []byte, s Secret, k Key) []byte {
	var flags flag
	var scopes uint16
	times := binary.LittleEndian.AppendUint64(nil, uint64(k.CreatedAt.UnixMicro()))
	for i, t := range []time.Time{k.ExpiresAt, s.ValidUntil, k.RevokedAt} {
		if !t.IsZero() {
			flags |= 1 << i
			times = binary.LittleEndian.AppendUint64(times, uint64(t.UnixMicro()))
		}
	}
	if k.Environment == Test {
		flags |= packedTest
	}
	// In most cases the shown prefix can be computed from the token's id.
	shown, ownPrefix := strings.CutSuffix(k.Prefix, "_"+string(k.Environment)+"_"+string(s.TokenID))
	if ownPrefix {
		flags |= packedOwnPrefix
	}
	creatorID, ok := packID(k.CreatedBy)
	if !ok {
		flags |= packedPlainID
	}
	if k.Plan.ID != "" || len(k.Limits) > 0 {
		flags |= packedLimited
	}
	if len(k.AllowedIPs) > 0 {
		flags |= packedBound
	}
	for _, scope := range k.Scopes {
		scopes |= ownScope(scope)
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(flags))
	b = binary.LittleEndian.AppendUint16(b, scopes)
	b = binary.LittleEndian.AppendUint16(b, uint16(s.PepperVersion))
	b = append(b, byte(slices.Index(Algorithms, s.Algorithm)), byte(slices.Index(ActorKinds, k.CreatedBy.Kind)))
	var digest [DigestLength]byte
	copy(digest[:], s.Digest)
	b = append(append(b, digest[:]...), times...)
	for _, text := range [firstTexts]string{
		packedID:        string(k.ID),
		packedTokenID:   string(s.TokenID),
		packedShown:     shown,
		packedCreatorID: creatorID,
		packedLimits:    packLimits(k.Limits),
		packedNetworks:  packNetworks(k.AllowedIPs),
	} {
		b = appendText(b, text)
	}
	own := bareKey(k)
	for _, text := range own.ownTexts() {
		b = appendText(b, *text)
	}
	for _, t := range own.ownTimes() {
		b = binary.AppendVarint(b, packTime(*t))
	}
	b = binary.AppendVarint(b, k.Revision)
	b = binary.AppendUvarint(b, uint64(len(k.Scopes)))
	for _, scope := range k.Scopes {
		if i := slices.Index(KeyScopes, scope); i >= 0 {
			b = append(b, byte(i+1))
			continue
		}
		b = appendText(append(b, 0), string(scope))
	}
	b = binary.AppendUvarint(b, uint64(len(k.Metadata)))
	for _, name := range slices.Sorted(maps.Keys(k.Metadata)) {
		b = appendText(appendText(b, name), k.Metadata[name])
	}
	return b
}

// packLimits returns limits as JSON, as the API answers them. That is the JSON of
// api/plainjson, which escapes less, because nothing in valid limits is ever escaped:
// their texts are names, time zones and words of this package, all of plain ASCII.
func packLimits(limits []Limit) string {
	if len(limits) == 0 {
		return ""
	}
	text, _ := json.Marshal(limits) //nolint:errchkjson // they have texts and numbers only
	return string(text)
}

// packTime returns a time in microseconds, and 0 for the zero time. No instance
// has a clock that shows 1970, and 0 takes one byte.
func packTime(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// packID returns the 16 bytes of a user's or key's id.
func packID(a Actor) (string, bool) {
	var err error
	switch a.Kind {
	case ActorUser:
		_, err = ParseID[UserID](a.ID)
	case ActorKey:
		_, err = ParseID[KeyID](a.ID)
	default:
		return a.ID, false
	}
	if err != nil {
		return a.ID, false
	}
	raw, _ := crockford.DecodeString("000000" + a.ID[len("usr_"):]) // ParseID has taken it
	return string(raw[4:]), true
}

func appendID(b []byte, kind ActorKind, packed string) []byte {
	var padded [20]byte
	var text [32]byte
	copy(padded[4:], packed)
	crockford.Encode(text[:], padded[:])
	if kind == ActorKey {
		b = append(b, KeyID("").kind()...)
	} else {
		b = append(b, UserID("").kind()...)
	}
	return append(append(b, '_'), text[6:]...)
}

// uint16 returns the 16-bit number at p.
func (k ProvenKey) uint16(p int) uint16 { return uint16(k.packed[p]) | uint16(k.packed[p+1])<<8 }

func (k ProvenKey) flags() flag { return flag(k.uint16(packedFlags)) }

// texts reads the part after the times.
func (k ProvenKey) texts() reader {
	n := 1 + bits.OnesCount16(uint16(k.flags()&packedTimeFlags))
	return reader{k.packed[packedTimes+8*n:]}
}

func (k ProvenKey) createdAt() time.Time { return unpackTime(k.micros(0)) }

// moment returns the time of a flag, in microseconds, if there is one.
func (k ProvenKey) moment(which flag) (micros int64, ok bool) {
	flags := k.flags()
	if flags&which == 0 {
		return 0, false
	}
	return k.micros(1 + bits.OnesCount16(uint16(flags&(which-1)))), true
}

// micros returns the i-th of the times.
func (k ProvenKey) micros(i int) int64 {
	p := k.packed[packedTimes+8*i:][:8]
	return int64(uint64(p[0]) | uint64(p[1])<<8 | uint64(p[2])<<16 | uint64(p[3])<<24 |
		uint64(p[4])<<32 | uint64(p[5])<<40 | uint64(p[6])<<48 | uint64(p[7])<<56)
}

func (k ProvenKey) time(which flag) time.Time {
	if micros, ok := k.moment(which); ok {
		return unpackTime(micros)
	}
	return time.Time{}
}

func (k ProvenKey) passed(which flag, now int64) bool {
	at, ok := k.moment(which)
	return ok && at <= now
}

// ownScope returns the bit of a scope of Latchkey itself, or 0 for others.
func ownScope(s Scope) uint16 {
	for i, own := range KeyScopes {
		if s == own {
			return 1 << i
		}
	}
	return 0
}

// item returns the item at the index that PackKey wrote, or zero if PackKey
// found none.
func item[T any](items []T, i byte) (found T) {
	if int(i) < len(items) {
		found = items[i]
	}
	return found
}

func unpackTime(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// reader reads a packed key from front to back. It reads only what PackKey
// wrote, in the same order, so nothing can be missing.
type reader struct{ rest string }

func (r *reader) uvarint() (n uint64) {
	for shift := 0; ; shift += 7 {
		b := r.rest[0]
		r.rest = r.rest[1:]
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
}

func (r *reader) varint() int64 {
	n := r.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

func (r *reader) time() time.Time {
	micros := r.varint()
	if micros == 0 {
		return time.Time{}
	}
	return unpackTime(micros)
}

func (r *reader) text() string {
	n := r.uvarint()
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) firstTexts() (texts [firstTexts]string) {
	for i := range texts {
		texts[i] = r.text()
	}
	return texts
}

func (r *reader) scope() Scope {
	if place := r.uvarint(); place > 0 {
		return KeyScopes[place-1]
	}
	return Scope(r.text())
}

// skipToScopes skips the texts and numbers before the scopes.
func (r *reader) skipToScopes() {
	r.firstTexts()
	var k bareKey
	for range k.ownTexts() {
		r.text()
	}
	for range k.ownTimes() {
		r.uvarint()
	}
	r.uvarint() // the revision
}
