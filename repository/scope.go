package repository

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// tenant confines a query. It cannot be made from an id.
type tenant interface {
	domain.ProjectScope | domain.OrganizationScope
}

// within adds the tenant's predicate to a query of any kind. The row of the
// tenant itself matches by its id.
func within[S tenant](scope S, model any) func(bun.QueryBuilder) bun.QueryBuilder {
	return func(q bun.QueryBuilder) bun.QueryBuilder {
		switch s := any(scope).(type) {
		case domain.ProjectScope:
			if _, itself := model.(*projectRow); itself {
				return q.Where("?TableAlias.organization_id = ?", s.Organization()).Where("?TableAlias.id = ?", s.Project())
			}
			return q.Where("?TableAlias.project_id = ?", s.Project())
		case domain.OrganizationScope:
			if _, itself := model.(*organizationRow); itself {
				return q.Where("?TableAlias.id = ?", s.Organization())
			}
			return q.Where("?TableAlias.organization_id = ?", s.Organization())
		}
		panic("repository: a tenant that is neither project nor organization")
	}
}

func selectIn[S tenant](s *Store, scope S, model any) *bun.SelectQuery {
	return s.read.NewSelect().Model(model).ApplyQueryBuilder(within(scope, model))
}

// insertIn adds rows, a pointer to a slice, that were made with the scope.
func insertIn[S tenant](ctx context.Context, s *Store, _ S, rows any) error {
	return s.error(s.engine.insertMany(ctx, s.write, rows))
}

func updateIn[S tenant](s *Store, scope S, model any) *bun.UpdateQuery {
	return s.write.NewUpdate().Model(model).ApplyQueryBuilder(within(scope, model))
}

func deleteIn[S tenant](s *Store, scope S, model any) *bun.DeleteQuery {
	return s.write.NewDelete().Model(model).ApplyQueryBuilder(within(scope, model))
}

// newest orders a list by the column at and by id, newest first. It reads one
// row more than the page holds, which shows whether the page is the last.
func newest(q *bun.SelectQuery, at string, p domain.Page) *bun.SelectQuery {
	return newestBy(q, at, "id", p)
}

// newestBy is like newest, for rows whose id column has another name.
func newestBy(q *bun.SelectQuery, at, id string, p domain.Page) *bun.SelectQuery {
	if !p.After.IsZero() {
		q = q.Where("(?TableAlias.?, ?TableAlias.?) < (?, ?)", bun.Ident(at), bun.Ident(id), p.After.At.UnixMicro(), p.After.ID)
	}
	return q.OrderExpr("?TableAlias.? DESC, ?TableAlias.? DESC", bun.Ident(at), bun.Ident(id)).Limit(int64(p.Limit) + 1)
}
