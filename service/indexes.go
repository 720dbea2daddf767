package service

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// indexPage is how many entries of an index are read at a time.
const indexPage = 10_000

// importsFollowed has a process without a follower learn of imports before it answers:
// no job does so for it.
func (a *App) importsFollowed(ctx context.Context) error {
	if a.Sync() != NotFollowing {
		return nil
	}
	return a.loadImports(ctx)
}

// loadImports learns of what has been imported since the last time.
func (a *App) loadImports(ctx context.Context) error {
	n := a.near
	n.loadingImports.Lock()
	defer n.loadingImports.Unlock()
	for {
		found, err := a.store.ImportedSince(ctx, n.lastImport, indexPage)
		if err != nil {
			return err
		}
		for _, i := range found {
			n.imported.Add(i.Locator, i.TokenID)
			n.lastImport = i
		}
		if len(found) < indexPage {
			return nil
		}
	}
}

// outdateUntagged has the index of untagged tokens read again.
func (n *nearby) outdateUntagged() {
	n.untagged.Outdate()
	select {
	case n.outdated <- struct{}{}:
	default: // it will be already
	}
}

// keepUntagged reads the tokens without a tag whenever this node may have missed
// some, until ctx ends. Those made later reach it as stale notes.
func (a *App) keepUntagged(ctx context.Context) {
	for {
		select {
		case <-a.near.outdated:
		case <-ctx.Done():
			return
		}
		if err := a.loadUntagged(ctx); err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "the tokens without a tag could not be read; trying again", "error", err)
			time.AfterFunc(reconnectEvery, a.near.outdateUntagged)
		}
	}
}

func (a *App) loadUntagged(ctx context.Context) error {
	since := a.near.untagged.Since()
	if err := a.lookForOlderNodes(ctx); err != nil {
		return err
	}
	for after := domain.TokenID(""); ; {
		found, err := a.store.UntaggedTokens(ctx, after, indexPage)
		if err != nil {
			return err
		}
		a.near.untagged.Add(found...)
		if len(found) < indexPage {
			break
		}
		after = found[len(found)-1]
	}
	a.near.untagged.Complete(since)
	return nil
}

// lookForOlderNodes notes whether a node is listed that makes untagged tokens.
func (a *App) lookForOlderNodes(ctx context.Context) error {
	none, err := a.store.EveryNodeAtLeast(ctx, tagsSince)
	if err == nil && !none {
		a.near.olderNode.Store(time.Now().UnixMicro())
	}
	return err
}
