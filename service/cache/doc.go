// Package cache keeps what proves callers close at hand, so that proving one
// that was seen before needs no database: keys by the public id of their token,
// people by the digest of their access token, and their roles.
//
// # What it promises
//
// A copy is dropped when a domain.Stale names it, and a copy that was being
// read while the change came in is not kept. Whoever asks after Forget has
// returned sees the change. A copy of a key also ends at the key's next
// deadline (its expiry, or the end of its secret). The cache never decides
// whether a token is right: it keeps the digest, and the caller compares it
// every time.
//
// # How it is built
//
// Memory and garbage collection decide, not the cost of a look-up. A million
// keys as ordinary structs are ten million pointers, which the collector
// follows each time it runs, and the slowest requests show it. So a key is one
// string of bytes (domain.ProvenKey), and the strings lie in slabs of 64 KiB:
//
//	shard  token id → (slab, offset, length)     a map without pointers
//	slab   [ key | key | key | … ]               written once, from front to back
//	tenant project id → *domain.Tenant           few, shared by all keys of a project
//
// Slabs are filled and never changed, so a reader needs the lock only to find
// its key and may hold the string as long as it likes: a slab that the cache
// has given up lives until the last reader is done. When a shard is full, its
// oldest slab goes. Keys in it that were asked for since they were written are
// copied to the newest slab first (the CLOCK algorithm, with a slab for a hand).
//
// A change to a project or an organization removes its tenants, in whatever
// number of keys they are shared; those keys are then read again when asked
// for.
//
// Tokens that do not lie in memory are looked up only if they may exist. A token
// of this instance carries a tag, which the caller checks. For those that carry
// none there are two indexes, which hold a hash for each: Untagged, of tokens of
// 0.1, and Imported, of tokens that were made elsewhere.
//
// A miss is read once, however many wait for it (see loader), by a bounded
// number of look-ups at a time. Ids that do not exist are remembered for a
// moment, in a bounded table, so that the token of a deleted key sent again and
// again costs one look-up.
package cache
