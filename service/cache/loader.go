package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Bounds of the reads in progress.
const (
	lookups     = 16              // at the database
	waiting     = 512             // reads in progress or waiting for their turn; more are refused
	lookupLimit = 2 * time.Second // for one read, including its wait
)

// loader reads what a cache lacks. A request for something that is already
// being read waits for that answer. It bounds the reads in progress and refuses
// others with unavailable: a queue that keeps growing helps no one.
type loader[K comparable, V any] struct {
	turns chan struct{} // shared by all loaders of a node

	mu      sync.Mutex
	flights map[K]*flight[V]
}

// flight is one read.
type flight[V any] struct {
	done  chan struct{}
	value V
	err   error
	stale bool // a change arrived during the read: the answer is only for those who wait, and is not kept
}

func newLoader[K comparable, V any](turns chan struct{}) loader[K, V] {
	return loader[K, V]{turns: turns, flights: map[K]*flight[V]{}}
}

// load returns the result of read, shared by all requests for k during the
// read. keep is called with the result unless k was forgotten since the read
// began, and returns what is passed on. It runs under the loader's lock, so a later forget sees what it kept,
// and so does known, for a request that missed just before it was kept.
func (l *loader[K, V]) load(
	ctx context.Context, k K, known func() (V, bool), read func(context.Context) (V, error), keep func(V, error) V,
) (V, error) {
	l.mu.Lock()
	f, joined := l.flights[k]
	if !joined {
		if v, ok := known(); ok {
			l.mu.Unlock()
			return v, nil
		}
		if len(l.flights) >= waiting {
			l.mu.Unlock()
			var none V
			return none, domain.Unavailable(errors.New("too many look-ups are waiting for the database"))
		}
		f = &flight[V]{done: make(chan struct{})}
		l.flights[k] = f
		// With its own context: the first caller may leave while others still wait.
		go l.fly(context.WithoutCancel(ctx), k, f, read, keep)
	}
	l.mu.Unlock()
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		var none V
		return none, domain.Unavailable(ctx.Err())
	}
}

func (l *loader[K, V]) fly(ctx context.Context, k K, f *flight[V], read func(context.Context) (V, error), keep func(V, error) V) {
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	f.value, f.err = l.inTurn(ctx, read)
	l.mu.Lock()
	if !f.stale {
		delete(l.flights, k)
		f.value = keep(f.value, f.err)
	}
	l.mu.Unlock()
	close(f.done)
}

func (l *loader[K, V]) inTurn(ctx context.Context, read func(context.Context) (V, error)) (v V, err error) {
	select {
	case l.turns <- struct{}{}:
	case <-ctx.Done():
		return v, domain.Unavailable(errors.New("no turn at the database within the time for a look-up"))
	}
	defer func() { <-l.turns }()
	// No HTTP handler recovers from a panic in this goroutine, so it does that
	// here.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a look-up panicked: %v", r)
		}
	}()
	return read(ctx)
}

// forget ensures that no read from before drop is kept: reads in progress are
// not kept, and later requests start a new one.
func (l *loader[K, V]) forget(k K, drop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.flights[k]; f != nil {
		f.stale = true
		delete(l.flights, k)
	}
	drop()
}

// forgetAll is like forget, for everything that is being read.
func (l *loader[K, V]) forgetAll(drop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, f := range l.flights {
		f.stale = true
		delete(l.flights, k)
	}
	drop()
}
