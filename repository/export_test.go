package repository

import "database/sql"

// For tests of how values are written into statements.
var (
	NewPostgresDialect = newPostgresDialect
	ArrayOfTexts       = arrayOfTexts
)

// Pools returns the connection pools of a store.
func Pools(s *Store) (pools []*sql.DB) {
	for _, pool := range s.pools {
		pools = append(pools, pool.DB)
	}
	return pools
}
