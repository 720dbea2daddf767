-- +goose Up

-- Whose the changes are, so that a project can follow its own: clients of syncKeys keep
-- answers about tokens until they hear that one is no longer true. A change of a token
-- names its project. What ends or revives all tokens of a project or an organization at
-- a time is of the kind reset. Nodes of 0.1 read neither, and their writes go through
-- the same triggers.
ALTER TABLE changes ADD COLUMN project_id TEXT NOT NULL DEFAULT '';

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION note_key_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes SELECT pg_current_xact_id()::text::bigint, 'token', token_id, project_id
        FROM api_key_secrets WHERE project_id = NEW.project_id AND key_id = NEW.id;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION note_secret_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' OR EXISTS (
        SELECT 1 FROM projects p JOIN organizations o ON o.id = p.organization_id
        WHERE p.id = OLD.project_id AND p.deleted_at IS NULL AND o.deleted_at IS NULL
    ) THEN
        INSERT INTO changes VALUES (pg_current_xact_id()::text::bigint, 'token', OLD.token_id, OLD.project_id);
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION note_reset() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes VALUES (pg_current_xact_id()::text::bigint, 'reset', OLD.id, '');
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER note_project_reset AFTER UPDATE ON projects FOR EACH ROW
    WHEN (OLD.status <> NEW.status OR OLD.deleted_at IS DISTINCT FROM NEW.deleted_at OR OLD.suspended_at IS DISTINCT FROM NEW.suspended_at)
    EXECUTE FUNCTION note_reset();
CREATE TRIGGER note_project_end AFTER DELETE ON projects FOR EACH ROW EXECUTE FUNCTION note_reset();
CREATE TRIGGER note_organization_reset AFTER UPDATE ON organizations FOR EACH ROW
    WHEN (OLD.status <> NEW.status OR OLD.deleted_at IS DISTINCT FROM NEW.deleted_at OR OLD.suspended_at IS DISTINCT FROM NEW.suspended_at)
    EXECUTE FUNCTION note_reset();

-- +goose Down
DROP TRIGGER note_organization_reset ON organizations;
DROP TRIGGER note_project_end ON projects;
DROP TRIGGER note_project_reset ON projects;
DROP FUNCTION note_reset();
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION note_secret_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' OR EXISTS (
        SELECT 1 FROM projects p JOIN organizations o ON o.id = p.organization_id
        WHERE p.id = OLD.project_id AND p.deleted_at IS NULL AND o.deleted_at IS NULL
    ) THEN
        INSERT INTO changes VALUES (pg_current_xact_id()::text::bigint, 'token', OLD.token_id);
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION note_key_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes SELECT pg_current_xact_id()::text::bigint, 'token', token_id
        FROM api_key_secrets WHERE project_id = NEW.project_id AND key_id = NEW.id;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
ALTER TABLE changes DROP COLUMN project_id;
