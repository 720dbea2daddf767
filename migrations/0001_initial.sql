-- +goose Up

-- Facts about the instance itself, such as the check value of its master key.
CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE TABLE users (
    id             TEXT PRIMARY KEY,
    email          TEXT NOT NULL UNIQUE,
    name           TEXT NOT NULL,
    password_hash  TEXT NOT NULL,
    email_verified BOOLEAN NOT NULL,
    operator       BOOLEAN NOT NULL,
    status         TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
    created_at     BIGINT NOT NULL
);

CREATE TABLE sessions (
    id              TEXT PRIMARY KEY,
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at      BIGINT NOT NULL,
    last_used_at    BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    ip              TEXT NOT NULL,
    user_agent      TEXT NOT NULL,
    refresh_digest  BYTEA NOT NULL,
    previous_digest BYTEA NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);

-- Keys that sign access tokens. The private part is sealed under the master key.
CREATE TABLE signing_keys (
    id             TEXT PRIMARY KEY,
    sealed_private BYTEA NOT NULL,
    created_at     BIGINT NOT NULL
);

CREATE TABLE organizations (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    slug       TEXT NOT NULL UNIQUE,
    status     TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revision   BIGINT NOT NULL
);

CREATE TABLE memberships (
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role            TEXT NOT NULL CHECK (role IN ('viewer', 'developer', 'admin', 'owner')),
    joined_at       BIGINT NOT NULL,
    PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX memberships_user ON memberships (user_id);

CREATE TABLE projects (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    slug            TEXT NOT NULL,
    key_prefix      TEXT NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    revision        BIGINT NOT NULL,
    UNIQUE (organization_id, id),
    UNIQUE (organization_id, slug)
);

-- The composite references below make a row that points across tenants
-- impossible, whatever the code above does.
CREATE TABLE api_keys (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL,
    project_id      TEXT NOT NULL,
    name            TEXT NOT NULL,
    prefix          TEXT NOT NULL,
    environment     TEXT NOT NULL CHECK (environment IN ('live', 'test')),
    scopes          JSONB NOT NULL,
    external_id     TEXT NOT NULL,
    metadata        JSONB NOT NULL,
    created_at      BIGINT NOT NULL,
    created_by_kind TEXT NOT NULL,
    created_by_id   TEXT NOT NULL,
    created_by_name TEXT NOT NULL,
    expires_at      BIGINT,
    revoked_at      BIGINT,
    revoked_reason  TEXT NOT NULL,
    rotated_at      BIGINT,
    revision        BIGINT NOT NULL,
    UNIQUE (project_id, id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX api_keys_newest ON api_keys (project_id, created_at DESC, id DESC);
CREATE INDEX api_keys_external ON api_keys (project_id, external_id) WHERE external_id <> '';

-- What is kept of a key's tokens: one current (valid_until is null) and at most
-- one that a rotation left behind.
CREATE TABLE api_key_secrets (
    token_id       TEXT PRIMARY KEY,
    project_id     TEXT NOT NULL,
    key_id         TEXT NOT NULL,
    prefix         TEXT NOT NULL,
    algorithm      TEXT NOT NULL,
    pepper_version BIGINT NOT NULL,
    digest         BYTEA NOT NULL,
    created_at     BIGINT NOT NULL,
    valid_until    BIGINT,
    FOREIGN KEY (project_id, key_id) REFERENCES api_keys (project_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX api_key_secrets_current ON api_key_secrets (key_id) WHERE valid_until IS NULL;
CREATE INDEX api_key_secrets_key ON api_key_secrets (project_id, key_id);

-- Apart from the keys, so that recording a use can never touch a key's state.
CREATE TABLE api_key_usage (
    project_id    TEXT NOT NULL,
    key_id        TEXT NOT NULL,
    token_id      TEXT NOT NULL,
    first_used_at BIGINT NOT NULL,
    last_used_at  BIGINT NOT NULL,
    PRIMARY KEY (key_id, token_id),
    FOREIGN KEY (project_id, key_id) REFERENCES api_keys (project_id, id) ON DELETE CASCADE
);

-- Events outlive what they are about but go with their organization; those that
-- concern only a person have none.
CREATE TABLE audit_events (
    id              TEXT PRIMARY KEY,
    at              BIGINT NOT NULL,
    organization_id TEXT REFERENCES organizations (id) ON DELETE CASCADE,
    project_id      TEXT NOT NULL,
    actor_kind      TEXT NOT NULL,
    actor_id        TEXT NOT NULL,
    actor_name      TEXT NOT NULL,
    action          TEXT NOT NULL,
    target_kind     TEXT NOT NULL,
    target_id       TEXT NOT NULL,
    target_name     TEXT NOT NULL,
    ip              TEXT NOT NULL,
    user_agent      TEXT NOT NULL,
    request_id      TEXT NOT NULL,
    changes         JSONB NOT NULL
);
CREATE INDEX audit_events_newest ON audit_events (organization_id, at DESC, id DESC);
CREATE INDEX audit_events_target ON audit_events (organization_id, target_id, at DESC);

-- +goose Down
DROP TABLE audit_events;
DROP TABLE api_key_usage;
DROP TABLE api_key_secrets;
DROP TABLE api_keys;
DROP TABLE projects;
DROP TABLE memberships;
DROP TABLE organizations;
DROP TABLE signing_keys;
DROP TABLE sessions;
DROP TABLE users;
DROP TABLE settings;
