// Package cache keeps what proves callers in memory, so that a caller who was
// seen before is proved without the database: keys by the public id of their
// token, people by the digest of their access token, and their roles.
//
// # What it promises
//
// A copy is dropped when a domain.Stale names it, and a copy that was being
// read while the change arrived is not kept. A request that starts after Forget
// has returned sees the change. A copy of a key also ends at the key's next
// deadline (its expiry, or the end of its secret). The cache never decides
// whether a token is valid: it keeps the digest, and the caller compares it
// every time.
//
// # How it is built
//
// Memory and garbage collection are the limits, not the cost of a look-up. A
// million keys as ordinary structs are ten million pointers. The collector
// follows them each time it runs, which shows in the slowest requests. So a key
// is one string of bytes (domain.ProvenKey), and the strings are in slabs of 64
// KiB:
//
//	shard  token id → (slab, offset, length)     a map without pointers
//	slab   [ key | key | key | … ]               written once, from front to back
//	tenant project id → *domain.Tenant           few, shared by all keys of a project
//
// Slabs are filled and never changed, so a reader needs the lock only to find
// its key and may keep the string as long as it likes: a slab that the cache
// has dropped lives until its last reader is done. When a shard is full, its
// oldest slab is dropped. Keys in it that were requested since they were
// written are first copied to the newest slab (the CLOCK algorithm, with a slab
// for a hand).
//
// A change to a project or an organization removes its tenants, however many
// keys share them. Those keys are read again when they are next requested.
//
// Tokens that are not in memory are looked up only if they may exist. A token
// of this instance has a tag, which the caller checks. For tokens without a tag
// there are two indexes, which hold a hash of each: Untagged, for tokens of
// 0.1, and Imported, for tokens that were made elsewhere.
//
// A miss is read once, however many requests wait for it (see loader), by a
// bounded number of look-ups at a time. Ids that do not exist are remembered
// for a short time, in a bounded table, so that repeated requests with the
// token of a deleted key cost one look-up.
package cache
