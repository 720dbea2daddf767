-- +goose Up

-- What has changed of which nodes keep copies. Triggers write it, so no writer
-- can forget to; nodes follow it. Nothing is written for rows that are added:
-- nobody has a copy of them. xid is the transaction: its rows become visible all
-- at once, and those of a transaction that began earlier may well come later.
CREATE TABLE changes (
    xid    BIGINT NOT NULL,
    kind   TEXT NOT NULL,
    object TEXT NOT NULL
);
CREATE INDEX changes_xid ON changes (xid);

-- +goose StatementBegin
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes VALUES (pg_current_xact_id()::text::bigint, TG_ARGV[0],
        COALESCE(to_jsonb(CASE WHEN TG_OP = 'INSERT' THEN NEW ELSE OLD END) ->> TG_ARGV[1], ''));
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION note_key_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes SELECT pg_current_xact_id()::text::bigint, 'token', token_id
        FROM api_key_secrets WHERE project_id = NEW.project_id AND key_id = NEW.id;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- Secrets that go with their whole project need no rows of their own: that of
-- the project ends them all.
-- +goose StatementBegin
CREATE FUNCTION note_secret_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' OR EXISTS (
        SELECT 1 FROM projects p JOIN organizations o ON o.id = p.organization_id
        WHERE p.id = OLD.project_id AND o.deleted_at IS NULL
    ) THEN
        INSERT INTO changes VALUES (pg_current_xact_id()::text::bigint, 'token', OLD.token_id);
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER note_key AFTER UPDATE ON api_keys FOR EACH ROW EXECUTE FUNCTION note_key_change();
CREATE TRIGGER note_secret AFTER UPDATE OR DELETE ON api_key_secrets FOR EACH ROW EXECUTE FUNCTION note_secret_change();
CREATE TRIGGER note_project AFTER UPDATE OR DELETE ON projects FOR EACH ROW EXECUTE FUNCTION note_change('project', 'id');
CREATE TRIGGER note_organization AFTER UPDATE OR DELETE ON organizations FOR EACH ROW EXECUTE FUNCTION note_change('organization', 'id');
CREATE TRIGGER note_membership AFTER UPDATE OR DELETE ON memberships FOR EACH ROW EXECUTE FUNCTION note_change('user', 'user_id');
CREATE TRIGGER note_user AFTER UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION note_change('user', 'id');
-- Being used and refreshed is no change to what a session may do.
CREATE TRIGGER note_session AFTER UPDATE OF user_id, created_at, expires_at OR DELETE ON sessions
    FOR EACH ROW EXECUTE FUNCTION note_change('session', 'id');
CREATE TRIGGER note_signing_key AFTER INSERT OR UPDATE OR DELETE ON signing_keys
    FOR EACH ROW EXECUTE FUNCTION note_change('signing_keys', '');

-- The servers that follow the changes, and how far each has come.
CREATE TABLE nodes (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    lag        BIGINT NOT NULL
);

-- +goose Down
DROP TABLE nodes;
DROP TRIGGER note_signing_key ON signing_keys;
DROP TRIGGER note_session ON sessions;
DROP TRIGGER note_user ON users;
DROP TRIGGER note_membership ON memberships;
DROP TRIGGER note_organization ON organizations;
DROP TRIGGER note_project ON projects;
DROP TRIGGER note_secret ON api_key_secrets;
DROP TRIGGER note_key ON api_keys;
DROP FUNCTION note_secret_change();
DROP FUNCTION note_key_change();
DROP FUNCTION note_change();
DROP TABLE changes;
