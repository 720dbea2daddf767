-- +goose Up

-- What the operator has stopped. It is apart from status, which is the tenant's
-- own: whoever may change that one cannot change this one.
ALTER TABLE organizations ADD COLUMN suspended_at BIGINT;
ALTER TABLE organizations ADD COLUMN suspended_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE projects ADD COLUMN suspended_at BIGINT;
ALTER TABLE projects ADD COLUMN suspended_reason TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE projects DROP COLUMN suspended_reason;
ALTER TABLE projects DROP COLUMN suspended_at;
ALTER TABLE organizations DROP COLUMN suspended_reason;
ALTER TABLE organizations DROP COLUMN suspended_at;
