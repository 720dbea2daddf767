-- +goose Up

-- What a project has done with a key whose token was reported as leaked, and when that
-- happened to a key.
ALTER TABLE projects ADD COLUMN on_leak TEXT NOT NULL DEFAULT 'revoke';
ALTER TABLE api_keys ADD COLUMN leaked_at BIGINT;

-- +goose Down
ALTER TABLE api_keys DROP COLUMN leaked_at;
ALTER TABLE projects DROP COLUMN on_leak;
