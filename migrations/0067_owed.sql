-- +goose Up

-- Units that were given back before the node that spent them has reported it. They are
-- taken off what is reported next.
ALTER TABLE counters ADD COLUMN owed BIGINT NOT NULL DEFAULT 0 CHECK (owed >= 0);

-- +goose Down
ALTER TABLE counters DROP COLUMN owed;
