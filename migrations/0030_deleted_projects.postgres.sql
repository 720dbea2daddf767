-- +goose Up

-- A project that is being deleted: nobody sees it, its keys are dead and go in
-- batches before the row does.
ALTER TABLE projects ADD COLUMN deleted_at BIGINT;
CREATE INDEX projects_deleted ON projects (deleted_at) WHERE deleted_at IS NOT NULL;

-- Secrets that go with their whole project need no rows of their own: that of
-- the project ended them all.
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
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION note_secret_change() RETURNS trigger LANGUAGE plpgsql AS $$
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
-- A version that knows nothing of the column would bring them back.
DELETE FROM projects WHERE deleted_at IS NOT NULL;
DROP INDEX projects_deleted;
ALTER TABLE projects DROP COLUMN deleted_at;
