-- +goose Up

-- Subscriptions to the audit trail. The secret and the one before it are sealed under a
-- key derived from the master key.
CREATE TABLE webhooks (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL,
    project_id      TEXT NOT NULL,
    url             TEXT NOT NULL,
    events          JSONB NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('active', 'paused', 'disabled')),
    sealed          BYTEA NOT NULL,
    previous        BYTEA,
    previous_until  BIGINT,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    last_success_at BIGINT,
    failing_since   BIGINT,
    revision        BIGINT NOT NULL,
    UNIQUE (project_id, id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX webhooks_newest ON webhooks (project_id, created_at DESC, id DESC);

-- Events on their way to webhooks, and what has become of them. due_at is when a row may
-- be taken next, NULL when it has ended. body is what is sent, fixed before the first
-- attempt. Of a receiver's answer only the status is kept.
CREATE TABLE webhook_deliveries (
    webhook_id      TEXT NOT NULL,
    event_id        TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    project_id      TEXT NOT NULL,
    event           TEXT NOT NULL,
    body            BYTEA,
    status          TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'failed')),
    attempt         BIGINT NOT NULL,
    response_status BIGINT NOT NULL,
    duration        BIGINT NOT NULL,
    error           TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    attempted_at    BIGINT,
    due_at          BIGINT,
    PRIMARY KEY (webhook_id, event_id),
    FOREIGN KEY (project_id, webhook_id) REFERENCES webhooks (project_id, id) ON DELETE CASCADE
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_deliveries_newest ON webhook_deliveries (webhook_id, created_at DESC, event_id DESC);
CREATE INDEX webhook_deliveries_oldest ON webhook_deliveries (created_at);

-- Every event of a project is queued in its own transaction, by any program that writes it: for the
-- webhooks that are subscribed to it, or for the one that it tries.
-- +goose StatementBegin
CREATE FUNCTION queue_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO webhook_deliveries (webhook_id, event_id, organization_id, project_id, event, status, attempt,
        response_status, duration, error, created_at, due_at)
    SELECT w.id, NEW.id, w.organization_id, w.project_id, NEW.action, 'pending', 0, 0, 0, '', NEW.at, NEW.at
    FROM webhooks w WHERE w.project_id = NEW.project_id AND w.status = 'active' AND CASE
        WHEN NEW.action = 'webhook.tested' THEN NEW.target_id = w.id
        ELSE w.events @> jsonb_build_array(NEW.action) OR w.events @> '["*"]' AND NEW.action NOT LIKE 'webhook.%' END;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER queue_deliveries AFTER INSERT ON audit_events
    FOR EACH ROW WHEN (NEW.project_id <> '') EXECUTE FUNCTION queue_deliveries();

-- +goose Down
DROP TRIGGER queue_deliveries ON audit_events;
DROP FUNCTION queue_deliveries;
DROP TABLE webhook_deliveries;
DROP TABLE webhooks;
