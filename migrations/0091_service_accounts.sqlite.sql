-- +goose Up

-- A service account is a user that is no person. It belongs to one organization and has
-- tokens in place of a password. Its email is its id, which no one can sign in with.
ALTER TABLE users ADD COLUMN kind TEXT NOT NULL DEFAULT 'person';
ALTER TABLE users ADD COLUMN organization_id TEXT REFERENCES organizations (id) ON DELETE CASCADE;
ALTER TABLE users ADD COLUMN may_delete_projects BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE users ADD COLUMN updated_at BIGINT;
ALTER TABLE users ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;
CREATE INDEX users_organization ON users (organization_id, created_at DESC, id DESC) WHERE organization_id IS NOT NULL;

-- Each token is a session, so that it ends when the session does, on every node.
CREATE TABLE service_tokens (
    token_id     TEXT PRIMARY KEY,
    session_id   TEXT NOT NULL UNIQUE REFERENCES sessions (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    prefix       TEXT NOT NULL,
    algorithm    TEXT NOT NULL,
    root_version BIGINT NOT NULL,
    digest       BYTEA NOT NULL,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT
);

-- +goose StatementBegin
CREATE TRIGGER memberships_at_home BEFORE INSERT ON memberships
WHEN EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND kind <> 'person' AND organization_id <> NEW.organization_id)
BEGIN
    SELECT RAISE(ABORT, 'a service account is a member of its own organization only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER memberships_stay_at_home BEFORE UPDATE ON memberships
WHEN EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND kind <> 'person' AND organization_id <> NEW.organization_id)
BEGIN
    SELECT RAISE(ABORT, 'a service account is a member of its own organization only');
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER memberships_stay_at_home;
DROP TRIGGER memberships_at_home;
DROP TABLE service_tokens;
DELETE FROM users WHERE kind <> 'person';
DROP INDEX users_organization;
ALTER TABLE users DROP COLUMN revision;
ALTER TABLE users DROP COLUMN updated_at;
ALTER TABLE users DROP COLUMN may_delete_projects;
ALTER TABLE users DROP COLUMN organization_id;
ALTER TABLE users DROP COLUMN kind;
