package domain

import "time"

// Node is a server of the instance.
type Node struct {
	ID        string
	Name      string
	Version   string // the version of its program, as VersionAtLeast reads it; empty: 0.1
	StartedAt time.Time
	SeenAt    time.Time     // when it last reported
	FlushedAt time.Time     // all uses that it had counted before this were written then; zero: it does not count
	Lag       time.Duration // the age, at that time, of the last moment at which it knew of every change
}

// GoneNode is a node that does not report and has leases.
type GoneNode struct {
	ID        string
	Leases    int
	Units     int64 // that it may have spent
	Journaled bool  // it may come back and say what it has spent
	SeenAt    time.Time
}

// EndedLeases is what became of leases whose node is gone.
type EndedLeases struct {
	Leases              int
	Returned, Forfeited int64 // units
}
