// Package bench measures what Latchkey is for beside the best that the machine
// can do for the same work: the whole product beside a bare Echo, a look-up
// beside pgbench, memory and start by themselves.
//
// Both sides of a row run in one go, in turn, several times. A row shows
// the median of the ratios and how far they spread. The program that sends the
// requests is part of what the machine does, so its share of the processor is
// shown too. make bench prints the table; go test only checks that every row can
// still be measured, and never fails because of a time.
package bench
