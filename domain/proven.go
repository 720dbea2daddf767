package domain

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// ProvenKey is a CallingKey with the secret that proves it, in a form that is
// kept by the million: one string, and a pointer to the tenant that many keys
// share, so that the garbage collector has few pointers to follow. What every
// request asks is read from the string in place; CallingKey unpacks the rest.
// The zero value is no key. It is immutable and safe for concurrent use.
//
// The string holds, in this order:
//
//	flags: which of the times and texts below there are, the environment
//	                                     16 bits
//	own scopes                           16 bits, one for each of KeyScopes
//	pepper version                       16 bits
//	algorithm, creator                   1 byte each
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
	line   uint32
}

// NewProvenKey returns the key of the tenant that PackKey packed. The string
// must not change.
func NewProvenKey(packed string, tenant *Tenant) ProvenKey {
	return ProvenKey{packed: packed, tenant: tenant}
}

// Metered returns the key with the number of its token's line in the meter, which
// the cache keeps beside it.
func (k ProvenKey) Metered(line uint32) ProvenKey {
	k.line = line
	return k
}

// Line returns the number of the line; 0 for a key that does not come from the
// cache.
func (k ProvenKey) Line() uint32 { return k.line }

// Packed returns what PackKey packed.
func (k ProvenKey) Packed() string { return k.packed }

// IsZero reports whether there is no key.
func (k ProvenKey) IsZero() bool { return k.tenant == nil }

// Format implements fmt.Formatter: a key prints as its id with every verb. The
// packed form contains the digest of its secret.
func (k ProvenKey) Format(f fmt.State, _ rune) {
	if k.IsZero() {
		io.WriteString(f, "no key")
		return
	}
	io.WriteString(f, string(k.ID()))
}

// Tenant returns the owner of the key. It is shared: do not change it.
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

// Digest returns the stored digest of the secret, and how it was computed.
func (k ProvenKey) Digest() (digest string, algorithm Algorithm, pepperVersion int) {
	return k.packed[packedDigest : packedDigest+DigestLength], item(Algorithms, k.packed[packedAlgorithm]), int(k.uint16(packedPepper))
}

// Holds reports whether the key has the scope.
func (k ProvenKey) Holds(s Scope) bool {
	if own := ownScope(s); own != 0 {
		return k.uint16(packedScopes)&own != 0
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

// Unusable returns why the proven key may not be used at now: key_revoked;
// key_expired, also for a retired secret; project_disabled, also for the
// organization; or "".
func (k ProvenKey) Unusable(now time.Time) Code {
	switch at := now.UnixMicro(); {
	case k.flags()&packedRevoked != 0:
		return CodeKeyRevoked
	case k.passed(packedExpires, at), k.passed(packedValidUntil, at):
		return CodeKeyExpired
	case !k.tenant.Project.Usable(), !k.tenant.Organization.Usable():
		return CodeProjectDisabled
	}
	return ""
}

// Status returns the state of the key itself at now, as Key.Status does.
func (k ProvenKey) Status(now time.Time) KeyStatus {
	switch {
	case k.flags()&packedRevoked != 0:
		return KeyRevoked
	case k.passed(packedExpires, now.UnixMicro()):
		return KeyExpired
	}
	return KeyActive
}

// Secret unpacks the stored data of the secret that proves the key, without the
// prefix and the creation time, which only its history needs.
func (k ProvenKey) Secret() Secret {
	_, s := k.unpack()
	return s
}

// CallingKey unpacks everything that is known about the key.
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
		ProjectID:     f.ProjectID,
		KeyID:         f.ID,
		TokenID:       f.TokenID,
		Algorithm:     algorithm,
		PepperVersion: pepper,
		Digest:        []byte(digest),
		ValidUntil:    k.time(packedValidUntil),
	}
	key := Key(f.bareKey)
	key.Prefix, key.CreatedBy.ID = string(f.AppendPrefix(nil)), string(f.AppendCreatorID(nil))
	key.Limits = f.limits()
	for n := range f.Networks() {
		key.AllowedIPs = append(key.AllowedIPs, Network(n.String()))
	}
	key.Scopes, key.Metadata = slices.AppendSeq([]Scope{}, f.Scopes()), maps.Collect(f.Metadata())
	return key, secret
}

// Fields are the fields of a key, read in place: nothing in it is a copy, and
// reading it allocates nothing. Methods read what is not a field of its own:
// prefix, creator's id, scopes, networks and metadata; limits are JSON.
type Fields struct {
	bareKey
	TokenID    TokenID // of the token that proves the key
	LimitsJSON string  // the key's own limits; empty: none

	flags          flag
	networks       string // packed
	shown, creator string
	scopes         reader
}

// Fields returns the fields of the key.
func (k ProvenKey) Fields() (f Fields) {
	r := k.texts()
	first := r.firstTexts()
	f.flags, f.shown, f.creator = k.flags(), first[packedShown], first[packedCreatorID]
	f.LimitsJSON, f.networks = first[packedLimits], first[packedNetworks]
	f.ID, f.TokenID, f.ProjectID = KeyID(first[packedID]), TokenID(first[packedTokenID]), k.tenant.Project.ID
	f.Environment = k.Environment()
	f.CreatedBy.Kind = item(ActorKinds, k.packed[packedCreator])
	f.CreatedAt, f.ExpiresAt, f.RevokedAt = k.createdAt(), k.time(packedExpires), k.time(packedRevoked)
	for _, text := range f.ownTexts() {
		*text = r.text()
	}
	for _, t := range f.ownTimes() {
		*t = r.time()
	}
	if f.Plan.ID != "" {
		f.Plan.Name = k.tenant.planName(f.Plan)
	}
	f.Revision = r.varint()
	f.scopes = r
	return f
}

// Reported returns whose use a client reports that has verified the key.
func (f *Fields) Reported() ReportedUse {
	return ReportedUse{
		ProjectID:   f.ProjectID,
		KeyID:       f.ID,
		TokenID:     f.TokenID,
		ExternalID:  f.ExternalID,
		Environment: f.Environment,
	}
}

func (f *Fields) limits() (limits []Limit) {
	if f.LimitsJSON != "" {
		_ = json.Unmarshal([]byte(f.LimitsJSON), &limits) // PackKey has written it
	}
	return limits
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

// AppendCreatorID appends the id of the key's creator to b.
func (f *Fields) AppendCreatorID(b []byte) []byte {
	if f.flags&packedPlainID != 0 {
		return append(b, f.creator...)
	}
	return appendID(b, f.CreatedBy.Kind, f.creator)
}

// Scopes are the scopes of the key, in the order in which it keeps them.
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

// Networks are the only addresses that the key may be used from; none: all.
func (f *Fields) Networks() iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for packed := f.networks; packed != ""; packed = packed[packedNetwork:] {
			if !yield(unpackNetwork(packed)) {
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
	if k.flags()&packedTest != 0 {
		return Test
	}
	return Live
}
