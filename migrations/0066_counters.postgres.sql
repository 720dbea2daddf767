-- +goose Up

-- The books of quotas and credits: one row for each place that defines a limit, its
-- name, and what it is counted over. What is available is not stored: it is capacity
-- less what is spent, leased and forfeited.
CREATE TABLE counters (
    project_id      TEXT NOT NULL,
    owner_id        TEXT NOT NULL,
    type            TEXT NOT NULL,
    name            TEXT NOT NULL,
    per             TEXT NOT NULL,
    subject         TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    period          BIGINT,
    capacity        BIGINT NOT NULL,
    spent           BIGINT NOT NULL CHECK (spent >= 0),
    leased          BIGINT NOT NULL CHECK (leased >= 0),
    forfeited       BIGINT NOT NULL CHECK (forfeited >= 0),
    renewed_at      BIGINT,
    renews_at       BIGINT,
    reached_at      BIGINT,
    leases          BIGINT NOT NULL,
    PRIMARY KEY (project_id, owner_id, type, name, per, subject),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id) ON DELETE CASCADE
);

-- What each node may spend of a counter without asking. Only that node writes the
-- row, or what removes it after the node is gone.
CREATE TABLE leases (
    node_id    TEXT NOT NULL,
    project_id TEXT NOT NULL,
    owner_id   TEXT NOT NULL,
    type       TEXT NOT NULL,
    name       TEXT NOT NULL,
    per        TEXT NOT NULL,
    subject    TEXT NOT NULL,
    number     BIGINT NOT NULL,
    period     BIGINT NOT NULL,
    granted    BIGINT NOT NULL,
    spent      BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (node_id, project_id, owner_id, type, name, per, subject),
    FOREIGN KEY (project_id, owner_id, type, name, per, subject) REFERENCES counters ON DELETE CASCADE,
    CHECK (spent <= granted)
);
CREATE INDEX leases_counter ON leases (project_id, owner_id, type, name, per, subject);

-- Every change of credits other than spending.
CREATE TABLE credit_entries (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL,
    project_id      TEXT NOT NULL,
    owner_id        TEXT NOT NULL,
    name            TEXT NOT NULL,
    per             TEXT NOT NULL,
    subject         TEXT NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN ('initial', 'grant', 'refill', 'forfeit', 'refund')),
    amount          BIGINT NOT NULL,
    reason          TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    actor_kind      TEXT NOT NULL,
    actor_id        TEXT NOT NULL,
    actor_name      TEXT NOT NULL,
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX credit_entries_newest ON credit_entries (project_id, created_at DESC, id DESC);
CREATE INDEX credit_entries_subject ON credit_entries (project_id, subject, created_at DESC, id DESC);
CREATE INDEX credit_entries_organization ON credit_entries (organization_id, id);

-- Books and leases are updated several times a second, and no indexed column with
-- them. Room on the page keeps the new version of a row beside the old one.
ALTER TABLE counters SET (fillfactor = 70);
ALTER TABLE leases SET (fillfactor = 70);

-- Entries are added and never altered. They go only with their project.
-- +goose StatementBegin
CREATE FUNCTION credit_entries_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF NOT EXISTS (SELECT 1 FROM projects AS p JOIN organizations AS o ON o.id = p.organization_id
            WHERE p.id = OLD.project_id AND p.deleted_at IS NULL AND o.deleted_at IS NULL) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'credit entries are append-only' USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER credit_entries_keep BEFORE UPDATE OR DELETE ON credit_entries
    FOR EACH ROW EXECUTE FUNCTION credit_entries_append_only();
CREATE TRIGGER credit_entries_stay BEFORE TRUNCATE ON credit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION credit_entries_append_only();

-- +goose Down
DROP TRIGGER credit_entries_stay ON credit_entries;
DROP TRIGGER credit_entries_keep ON credit_entries;
DROP FUNCTION credit_entries_append_only();
DROP TABLE credit_entries;
DROP TABLE leases;
DROP TABLE counters;
