// Package watch keeps the changes of the last minutes, as a node has read them, and
// wakes those who wait for the changes of one project. It asks no database: the notes
// that a node follows for its own cache are passed on.
//
//	poll → Advance(position, notes) → subject (a project or an organization)
//	                                     [ transaction, token | … ]   of the last minutes
//	                                     woken                        closed by a change
//
// A cursor is a position, so it is good on every node. What is not in a cursor and is
// about its project is what its owner has not heard of. Where that is no longer known,
// because it was too long ago or too much, the answer is a reset: forget everything.
package watch
