// Package faults breaks things on purpose and looks at what users would notice:
// processes and databases that are killed, networks that are cut or slow, disks
// that fill up, herds and floods. Everything runs against the program itself, in
// processes of its own, on private databases.
//
// go test runs each experiment for a moment; make faults runs them at their
// full size and prints a table. An experiment fails when a promise is broken
// (a lost key, a revoked one that is accepted, an answer that is neither right
// nor an honest 503), never because a machine is slow: how long things took is
// only reported.
package faults
