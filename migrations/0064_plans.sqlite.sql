-- +goose Up

-- Named sets of limits of one project, which its keys refer to.
CREATE TABLE plans (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL,
    project_id      TEXT NOT NULL,
    name            TEXT NOT NULL,
    limits          JSONB NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    revision        BIGINT NOT NULL,
    UNIQUE (project_id, id),
    UNIQUE (project_id, name),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX plans_newest ON plans (project_id, created_at DESC, id DESC);

-- Nodes keep the plans of a project beside the project.
-- +goose StatementBegin
CREATE TRIGGER note_plan_insert AFTER INSERT ON plans BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'project', NEW.project_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_plan_update AFTER UPDATE ON plans BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'project', OLD.project_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_plan_delete AFTER DELETE ON plans BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'project', OLD.project_id);
END;
-- +goose StatementEnd

ALTER TABLE projects ADD COLUMN limits JSONB NOT NULL DEFAULT '[]';
ALTER TABLE api_keys ADD COLUMN limits JSONB NOT NULL DEFAULT '[]';
ALTER TABLE api_keys ADD COLUMN plan_id TEXT;
CREATE INDEX api_keys_plan ON api_keys (project_id, plan_id) WHERE plan_id IS NOT NULL;

-- SQLite cannot add a foreign key of two columns to a table, so triggers are one: a
-- key's plan is of its project, and a plan stays while a key refers to it. Plans go
-- with their project.
-- +goose StatementBegin
CREATE TRIGGER api_keys_plan_insert BEFORE INSERT ON api_keys
    WHEN NEW.plan_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM plans WHERE project_id = NEW.project_id AND id = NEW.plan_id) BEGIN
    SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed: api_keys.plan_id');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER api_keys_plan_update BEFORE UPDATE OF project_id, plan_id ON api_keys
    WHEN NEW.plan_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM plans WHERE project_id = NEW.project_id AND id = NEW.plan_id) BEGIN
    SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed: api_keys.plan_id');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER plans_in_use BEFORE DELETE ON plans
    WHEN EXISTS (SELECT 1 FROM api_keys WHERE project_id = OLD.project_id AND plan_id = OLD.id)
        AND EXISTS (SELECT 1 FROM projects WHERE id = OLD.project_id) BEGIN
    SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed: api_keys.plan_id');
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER plans_in_use;
DROP TRIGGER api_keys_plan_update;
DROP TRIGGER api_keys_plan_insert;
DROP INDEX api_keys_plan;
ALTER TABLE api_keys DROP COLUMN plan_id;
ALTER TABLE api_keys DROP COLUMN limits;
ALTER TABLE projects DROP COLUMN limits;
DROP TABLE plans;
