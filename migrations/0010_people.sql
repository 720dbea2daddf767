-- +goose Up

-- An organization that is being deleted: nobody sees it, its keys are dead, and
-- what it owned goes in batches before the row does.
ALTER TABLE organizations ADD COLUMN deleted_at BIGINT;
CREATE INDEX organizations_deleted ON organizations (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE invitations (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    email           TEXT NOT NULL,
    role            TEXT NOT NULL CHECK (role IN ('viewer', 'developer', 'admin', 'owner')),
    invited_by_kind TEXT NOT NULL,
    invited_by_id   TEXT NOT NULL,
    invited_by_name TEXT NOT NULL,
    digest          BYTEA NOT NULL UNIQUE,
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    accepted_at     BIGINT
);
CREATE INDEX invitations_newest ON invitations (organization_id, created_at DESC, id DESC);
CREATE INDEX invitations_email ON invitations (email);

-- When the refresh token was last exchanged: a session is also used otherwise.
ALTER TABLE sessions ADD COLUMN rotated_at BIGINT;

-- Tokens that were mailed to prove an address or to set a new password. Only
-- their digests are here; a token is used by deleting its row.
CREATE TABLE mailed_tokens (
    digest     BYTEA PRIMARY KEY,
    purpose    TEXT NOT NULL,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at BIGINT NOT NULL
);
CREATE INDEX mailed_tokens_user ON mailed_tokens (user_id, purpose);
CREATE INDEX mailed_tokens_expiry ON mailed_tokens (expires_at);

-- +goose Down
DROP TABLE mailed_tokens;
ALTER TABLE sessions DROP COLUMN rotated_at;
DROP TABLE invitations;
DROP INDEX organizations_deleted;
ALTER TABLE organizations DROP COLUMN deleted_at;
