// Package meter counts what keys are used for, without a lock and without a
// write on the way of a request.
//
// A token in use has a line, which every request with it touches and nothing else
// does. Lines are in blocks without pointers and are known by their number. The
// cache of keys keeps the number beside the key, so that a request that has found
// its key has found its line:
//
//	cache  token id → (place of the key, number of the line)
//	block  [ line | line | line | … ]      counts, changed by requests
//	owner  [ key  | key  | key  | … ]      whose line it is, read when counts are taken
//
// Counts are those of keys: when they are taken, the lines of a key's tokens add
// up, and so do the keys of a project. A line for each project would be touched by
// all cores. When a token was last used is known for each token, since that decides
// which one a rotation may end.
//
// What a request costs is taken from the limits of its key in the same way. The state
// of a limit is one number, the theoretical arrival time of its rate, and tokens,
// keys and customers share it:
//
//	line  → limits of its key → [ state | state | … ]
//
// A line finds the states of its key once, and again when the tenant of the key has
// changed. A state is dropped when it is as good as new, so only limits of keys that
// were used lately take memory. Several nodes share no states yet: each has its share
// of every rate.
//
// A line is free again when the cache has dropped its number, its counts are
// taken, and it has rested for long enough that no request can still hold the
// number.
package meter
