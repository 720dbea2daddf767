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
