-- +goose Up

-- Audit events are added and never altered. They go only with their
-- organization: once it is being deleted, or its row is gone.

-- +goose StatementBegin
CREATE TRIGGER audit_events_keep BEFORE UPDATE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit events are append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_events_stay BEFORE DELETE ON audit_events
WHEN OLD.organization_id IS NULL
    OR EXISTS (SELECT 1 FROM organizations WHERE id = OLD.organization_id AND deleted_at IS NULL)
BEGIN
    SELECT RAISE(ABORT, 'audit events are append-only');
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER audit_events_stay;
DROP TRIGGER audit_events_keep;
