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
CREATE TRIGGER note_plan AFTER INSERT OR UPDATE OR DELETE ON plans
    FOR EACH ROW EXECUTE FUNCTION note_change('project', 'project_id');

ALTER TABLE projects ADD COLUMN limits JSONB NOT NULL DEFAULT '[]';
ALTER TABLE api_keys ADD COLUMN limits JSONB NOT NULL DEFAULT '[]';
ALTER TABLE api_keys ADD COLUMN plan_id TEXT;
ALTER TABLE api_keys ADD CONSTRAINT api_keys_plan_id FOREIGN KEY (project_id, plan_id) REFERENCES plans (project_id, id);
CREATE INDEX api_keys_plan ON api_keys (project_id, plan_id) WHERE plan_id IS NOT NULL;

-- +goose Down
DROP INDEX api_keys_plan;
ALTER TABLE api_keys DROP CONSTRAINT api_keys_plan_id;
ALTER TABLE api_keys DROP COLUMN plan_id;
ALTER TABLE api_keys DROP COLUMN limits;
ALTER TABLE projects DROP COLUMN limits;
DROP TABLE plans;
