-- +goose Up

-- Audit events are added and never altered. They go only with their
-- organization: once it is being deleted, or its row is gone.

-- +goose StatementBegin
CREATE FUNCTION audit_events_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.organization_id IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM organizations WHERE id = OLD.organization_id AND deleted_at IS NULL) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'audit events are append-only' USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_events_keep BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_events_append_only();
CREATE TRIGGER audit_events_stay BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_events_append_only();

-- +goose Down
DROP TRIGGER audit_events_stay ON audit_events;
DROP TRIGGER audit_events_keep ON audit_events;
DROP FUNCTION audit_events_append_only();
