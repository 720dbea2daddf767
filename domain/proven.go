package domain

import (
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"time"
)

// Tenant is whom a key belongs to. All keys of a project share one, which is
// never changed: when project or organization change, a new one is made.
type Tenant struct {
	Project      Project
	Organization Organization
}

// ProvenKey is a CallingKey, with the secret it is proved by, in a form that is
// kept by the million: one string and a pointer to the tenant that many keys
// share, so that the garbage collector has next to nothing to follow. What every
// request asks is read from it in place; CallingKey unpacks the rest. The zero
// value is no key at all. It is immutable and safe for concurrent use.
//
// The string holds, in this order:
//
//	flags: which of the times and texts below there are, the environment
//	own scopes                           a bit for each of KeyScopes
//	algorithm, pepper version, creator   1 byte each
//	digest                               32 bytes
//	created_at; then expires_at, valid_until, revoked_at, those there are
//	                                     8 bytes each, microseconds
//	texts, see PackKey                   a length (uvarint) and the bytes
//	rotated_at, retiring until, revision
//	                                     varint
//	scopes                               a number (uvarint), then each: 1 + its place among
//	                                     KeyScopes, or 0 and a text
//	metadata                             a number (uvarint), then names and values as texts
type ProvenKey struct {
	packed string
	tenant *Tenant
}

// Where the parts of fixed size are.
const (
	packedFlags     = 0
	packedScopes    = 1
	packedAlgorithm = 2
	packedPepper    = 3
	packedCreator   = 4
	packedDigest    = 5
	packedTimes     = packedDigest + DigestLength
)

// The flags. The first three say which times there are, in their order.
const (
	packedExpires = 1 << iota
	packedValidUntil
	packedRevoked
	packedTest      // the environment
	packedOwnPrefix // what is shown of the key is what is shown of this token
	packedPlainID   // the creator's id is a text, not an id of its kind
)

// DigestLength is the length of a secret's digest, in bytes.
const DigestLength = 32

var packedCreators = []ActorKind{ActorUser, ActorKey, ActorSystem}

// PackKey appends k, as proved by s, to b. What it appends and the tenant make
// a ProvenKey. When the key was last used is left out: it is no state.
func PackKey(b []byte, s Secret, k Key) []byte {
	var flags, own byte
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
	// Most often what is shown can be made of the token's id.
	shown, ownPrefix := strings.CutSuffix(k.Prefix, "_"+string(k.Environment)+"_"+string(s.TokenID))
	if ownPrefix {
		flags |= packedOwnPrefix
	}
	creator := slices.Index(packedCreators, k.CreatedBy.Kind)
	creatorID, ok := packID(k.CreatedBy)
	if !ok {
		flags |= packedPlainID
	}
	for _, scope := range k.Scopes {
		own |= ownScope(scope)
	}
	b = append(b, flags, own, byte(slices.Index(Algorithms, s.Algorithm)), byte(s.PepperVersion), byte(creator))
	var digest [DigestLength]byte
	copy(digest[:], s.Digest)
	b = append(append(b, digest[:]...), times...)
	for _, text := range []string{
		string(k.ID), string(s.TokenID), shown, k.Name, k.ExternalID, k.RevokedReason, creatorID, k.CreatedBy.Name, k.Retiring.Prefix,
	} {
		b = appendText(b, text)
	}
	for _, t := range []time.Time{k.RotatedAt, k.Retiring.ValidUntil} {
		micros := int64(0) // for the zero time; no clock of ours shows 1970, and this is one byte
		if !t.IsZero() {
			micros = t.UnixMicro()
		}
		b = binary.AppendVarint(b, micros)
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
	raw, err := crockford.DecodeString("000000" + a.ID[len("usr_"):])
	if err != nil {
		return a.ID, false
	}
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

// NewProvenKey returns the key that PackKey packed, of the tenant. The string
// must stay as it is.
func NewProvenKey(packed string, tenant *Tenant) ProvenKey { return ProvenKey{packed, tenant} }

// Packed returns what PackKey packed.
func (k ProvenKey) Packed() string { return k.packed }

// IsZero reports whether there is no key.
func (k ProvenKey) IsZero() bool { return k.tenant == nil }

// Format implements fmt.Formatter: with every verb a key prints as its id. What
// it is packed into holds the digest of its secret.
func (k ProvenKey) Format(f fmt.State, _ rune) {
	if k.IsZero() {
		io.WriteString(f, "no key")
		return
	}
	io.WriteString(f, string(k.ID()))
}

// Tenant returns whom the key belongs to. It is shared: do not change it.
func (k ProvenKey) Tenant() *Tenant { return k.tenant }

// ID returns the key's id.
func (k ProvenKey) ID() KeyID {
	r := k.texts()
	return KeyID(r.text())
}

// TokenID returns the public id of the token that proves the key.
func (k ProvenKey) TokenID() TokenID {
	r := k.texts()
	r.text()
	return TokenID(r.text())
}

// Digest returns what is stored of the secret, and how it was computed.
func (k ProvenKey) Digest() (digest string, algorithm Algorithm, pepperVersion int) {
	return k.packed[packedDigest : packedDigest+DigestLength], item(Algorithms, k.packed[packedAlgorithm]), int(k.packed[packedPepper])
}

// Holds reports whether the key has the scope.
func (k ProvenKey) Holds(s Scope) bool {
	if own := ownScope(s); own != 0 {
		return k.packed[packedScopes]&own != 0
	}
	r := k.texts()
	r.skipToScopes()
	for range r.uvarint() {
		if r.scope() == s {
			return true
		}
	}
	return false
}

// Unusable says why the proven key may not be used at now: key_revoked,
// key_expired, which a retired secret is too, project_disabled, also for its
// organization, or "".
func (k ProvenKey) Unusable(now time.Time) Code {
	switch at := now.UnixMicro(); {
	case k.packed[packedFlags]&packedRevoked != 0:
		return CodeKeyRevoked
	case k.passed(packedExpires, at), k.passed(packedValidUntil, at):
		return CodeKeyExpired
	case k.tenant.Project.Status != Active, k.tenant.Organization.Status != Active:
		return CodeProjectDisabled
	}
	return ""
}

// Status returns the state of the key itself at now, as Key.Status does.
func (k ProvenKey) Status(now time.Time) KeyStatus {
	switch {
	case k.packed[packedFlags]&packedRevoked != 0:
		return KeyRevoked
	case k.passed(packedExpires, now.UnixMicro()):
		return KeyExpired
	}
	return KeyActive
}

// Secret unpacks what is stored of the secret that proves the key, but for what
// only its history needs: prefix and creation.
func (k ProvenKey) Secret() Secret {
	_, s := k.unpack()
	return s
}

// CallingKey unpacks all there is to know of the key.
func (k ProvenKey) CallingKey() CallingKey {
	key, _ := k.unpack()
	return CallingKey{Key: key, Project: k.tenant.Project, Organization: k.tenant.Organization}
}

// Key unpacks the key.
func (k ProvenKey) Key() Key {
	key, _ := k.unpack()
	return key
}

func (k ProvenKey) unpack() (Key, Secret) {
	f := k.Fields()
	digest, algorithm, pepper := k.Digest()
	secret := Secret{
		ProjectID: f.ProjectID, KeyID: f.ID, TokenID: f.TokenID, Algorithm: algorithm, PepperVersion: pepper,
		Digest: []byte(digest), ValidUntil: k.time(packedValidUntil),
	}
	key := Key{
		ID: f.ID, ProjectID: f.ProjectID, Prefix: string(f.AppendPrefix(nil)), Name: f.Name, ExternalID: f.ExternalID,
		RevokedReason: f.RevokedReason, CreatedBy: Actor{f.CreatorKind, string(f.AppendCreatorID(nil)), f.creatorName},
		Environment: f.Environment, CreatedAt: f.CreatedAt, ExpiresAt: f.ExpiresAt, RevokedAt: f.RevokedAt, RotatedAt: f.RotatedAt,
		Retiring: f.Retiring, Revision: f.Revision, Scopes: slices.AppendSeq([]Scope{}, f.Scopes()), Metadata: maps.Collect(f.Metadata()),
	}
	return key, secret
}

// Fields are what a key carries, read in place: nothing in it is a copy, and
// reading it allocates nothing.
type Fields struct {
	ID                              KeyID
	ProjectID                       ProjectID
	TokenID                         TokenID // of the token that proves the key
	Name, ExternalID, RevokedReason string
	Environment                     Environment
	CreatorKind                     ActorKind
	CreatedAt, ExpiresAt            time.Time
	RevokedAt, RotatedAt            time.Time
	Retiring                        Retiring
	Revision                        int64

	flags          byte
	shown, creator string
	creatorName    string
	scopes         reader
}

// Fields returns what the key carries.
func (k ProvenKey) Fields() Fields {
	r := k.texts()
	f := Fields{
		ID: KeyID(r.text()), ProjectID: k.tenant.Project.ID, TokenID: TokenID(r.text()), shown: r.text(), Name: r.text(), ExternalID: r.text(),
		RevokedReason: r.text(), creator: r.text(), creatorName: r.text(),
		flags: k.packed[packedFlags], Environment: k.Environment(), CreatorKind: item(packedCreators, k.packed[packedCreator]),
		CreatedAt: k.createdAt(), ExpiresAt: k.time(packedExpires), RevokedAt: k.time(packedRevoked),
	}
	f.Retiring.Prefix = r.text()
	f.RotatedAt, f.Retiring.ValidUntil, f.Revision = r.time(), r.time(), r.varint()
	f.scopes = r
	return f
}

// AppendPrefix appends the key's Prefix to b.
func (f *Fields) AppendPrefix(b []byte) []byte {
	b = append(b, f.shown...)
	if f.flags&packedOwnPrefix != 0 {
		b = append(append(b, '_'), f.Environment...)
		b = append(append(b, '_'), f.TokenID...)
	}
	return b
}

// AppendCreatorID appends the id of who made the key to b.
func (f *Fields) AppendCreatorID(b []byte) []byte {
	if f.flags&packedPlainID != 0 {
		return append(b, f.creator...)
	}
	return appendID(b, f.CreatorKind, f.creator)
}

// Scopes are what the key may do, in the order in which they are kept.
func (f *Fields) Scopes() iter.Seq[Scope] {
	return func(yield func(Scope) bool) {
		r := f.scopes
		for range r.uvarint() {
			if !yield(r.scope()) {
				return
			}
		}
	}
}

// Metadata are the key's names and values, ordered by name.
func (f *Fields) Metadata() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		r := f.scopes
		for range r.uvarint() {
			r.scope()
		}
		for range r.uvarint() {
			name := r.text()
			if !yield(name, r.text()) {
				return
			}
		}
	}
}

// Environment returns the key's environment.
func (k ProvenKey) Environment() Environment {
	if k.packed[packedFlags]&packedTest != 0 {
		return Test
	}
	return Live
}

// texts reads what follows the times.
func (k ProvenKey) texts() reader {
	n := 1 + bits.OnesCount8(k.packed[packedFlags]&(packedExpires|packedValidUntil|packedRevoked))
	return reader{k.packed[packedTimes+8*n:]}
}

func (k ProvenKey) createdAt() time.Time { return unpackTime(k.micros(0)) }

// moment returns the time that the flag is for, in microseconds, if there is one.
func (k ProvenKey) moment(flag byte) (micros int64, ok bool) {
	flags := k.packed[packedFlags]
	if flags&flag == 0 {
		return 0, false
	}
	return k.micros(1 + bits.OnesCount8(flags&(flag-1))), true
}

// micros returns the i-th of the times.
func (k ProvenKey) micros(i int) int64 {
	p := k.packed[packedTimes+8*i:][:8]
	return int64(uint64(p[0]) | uint64(p[1])<<8 | uint64(p[2])<<16 | uint64(p[3])<<24 |
		uint64(p[4])<<32 | uint64(p[5])<<40 | uint64(p[6])<<48 | uint64(p[7])<<56)
}

func (k ProvenKey) time(flag byte) time.Time {
	if micros, ok := k.moment(flag); ok {
		return unpackTime(micros)
	}
	return time.Time{}
}

func (k ProvenKey) passed(flag byte, now int64) bool {
	at, ok := k.moment(flag)
	return ok && at <= now
}

// ownScope returns the bit of a scope that is Latchkey's own, or 0.
func ownScope(s Scope) byte {
	for i, own := range KeyScopes {
		if s == own {
			return 1 << i
		}
	}
	return 0
}

// item returns what PackKey looked up, or zero for what it did not find.
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

// reader takes a packed key apart from front to back. It reads only what
// PackKey wrote, in the same order, so nothing can be missing.
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

func (r *reader) scope() Scope {
	if place := r.uvarint(); place > 0 {
		return KeyScopes[place-1]
	}
	return Scope(r.text())
}

// skipToScopes passes over the texts and numbers in front of the scopes.
func (r *reader) skipToScopes() {
	for range 9 {
		r.text()
	}
	for range 3 {
		r.uvarint()
	}
}
