package client

import (
	"context"
	"iter"

	"github.com/oapi-codegen/nullable"
)

// Organizations yields all organizations of the calling user, newest first. Like
// the other sequences, it requests a page when it needs one, and ends after the
// first error.
func (c *Client) Organizations(ctx context.Context) iter.Seq2[Organization, error] {
	return pages(func(cursor *string) ([]Organization, nullable.Nullable[string], error) {
		answer, err := c.ListOrganizationsWithResponse(ctx, &ListOrganizationsParams{Cursor: cursor})
		if err != nil {
			return nil, nil, err
		}
		return answer.JSON200.Items, answer.JSON200.NextCursor, nil
	})
}

// Projects yields all projects of an organization, newest first.
func (c *Client) Projects(ctx context.Context, organization OrganizationID) iter.Seq2[Project, error] {
	return pages(func(cursor *string) ([]Project, nullable.Nullable[string], error) {
		answer, err := c.ListProjectsWithResponse(ctx, organization, &ListProjectsParams{Cursor: cursor})
		if err != nil {
			return nil, nil, err
		}
		return answer.JSON200.Items, answer.JSON200.NextCursor, nil
	})
}

// Members yields all members of an organization, newest first.
func (c *Client) Members(ctx context.Context, organization OrganizationID) iter.Seq2[Member, error] {
	return pages(func(cursor *string) ([]Member, nullable.Nullable[string], error) {
		answer, err := c.ListMembersWithResponse(ctx, organization, &ListMembersParams{Cursor: cursor})
		if err != nil {
			return nil, nil, err
		}
		return answer.JSON200.Items, answer.JSON200.NextCursor, nil
	})
}

// Invitations yields all open invitations of an organization, newest first.
func (c *Client) Invitations(ctx context.Context, organization OrganizationID) iter.Seq2[Invitation, error] {
	return pages(func(cursor *string) ([]Invitation, nullable.Nullable[string], error) {
		answer, err := c.ListInvitationsWithResponse(ctx, organization, &ListInvitationsParams{Cursor: cursor})
		if err != nil {
			return nil, nil, err
		}
		return answer.JSON200.Items, answer.JSON200.NextCursor, nil
	})
}

// Sessions yields all sessions of the calling user, newest first.
func (c *Client) Sessions(ctx context.Context) iter.Seq2[SessionItem, error] {
	return pages(func(cursor *string) ([]SessionItem, nullable.Nullable[string], error) {
		answer, err := c.ListSessionsWithResponse(ctx, &ListSessionsParams{Cursor: cursor})
		if err != nil {
			return nil, nil, err
		}
		return answer.JSON200.Items, answer.JSON200.NextCursor, nil
	})
}

// Keys yields the keys of a project that match filter, newest first. The filter's
// Limit is the size of a page, and its Cursor is where to start.
func (c *Client) Keys(ctx context.Context, project ProjectID, filter ListKeysParams) iter.Seq2[Key, error] {
	return pages(func(cursor *string) ([]Key, nullable.Nullable[string], error) {
		page := filter
		if cursor != nil {
			page.Cursor = cursor
		}
		answer, err := c.ListKeysWithResponse(ctx, project, &page)
		if err != nil {
			return nil, nil, err
		}
		return answer.JSON200.Items, answer.JSON200.NextCursor, nil
	})
}

// AuditEvents yields the audit events of an organization that match filter, newest
// first. The filter's Limit is the size of a page, and its Cursor is where to start.
func (c *Client) AuditEvents(ctx context.Context, organization OrganizationID, filter ListAuditEventsParams) iter.Seq2[AuditEvent, error] {
	return pages(func(cursor *string) ([]AuditEvent, nullable.Nullable[string], error) {
		page := filter
		if cursor != nil {
			page.Cursor = cursor
		}
		answer, err := c.ListAuditEventsWithResponse(ctx, organization, &page)
		if err != nil {
			return nil, nil, err
		}
		return answer.JSON200.Items, answer.JSON200.NextCursor, nil
	})
}

func pages[T any](fetch func(cursor *string) ([]T, nullable.Nullable[string], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var cursor *string
		for {
			items, next, err := fetch(cursor)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			value, err := next.Get()
			if err != nil { // null: this was the last page
				return
			}
			cursor = &value
		}
	}
}
