-- +goose Up

-- Which journal says what was spent of a lease: a node that comes back knows it only by
-- this journal. Empty: none.
ALTER TABLE leases ADD COLUMN journal TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE leases DROP COLUMN journal;
