-- +goose Up

-- The deletion of an organization is final, so that no one can make it look
-- deleted for a moment, remove its audit events and bring it back. Its id stays
-- here, and its events can go because it is here. REPLACE removes rows without
-- firing triggers for their deletion, so what it could do is refused on insertion.
CREATE TABLE deleted_organizations (
    id TEXT PRIMARY KEY
);
INSERT INTO deleted_organizations SELECT id FROM organizations WHERE deleted_at IS NOT NULL;

-- +goose StatementBegin
CREATE TRIGGER organizations_added BEFORE INSERT ON organizations
WHEN NEW.deleted_at IS NOT NULL OR EXISTS (SELECT 1 FROM deleted_organizations WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'the deletion of an organization is final, since audit events are append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER organizations_final BEFORE UPDATE ON organizations
WHEN NEW.id <> OLD.id OR OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NOT OLD.deleted_at
BEGIN
    SELECT RAISE(ABORT, 'the deletion of an organization is final, since audit events are append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER organizations_stay BEFORE DELETE ON organizations
WHEN NOT EXISTS (SELECT 1 FROM deleted_organizations WHERE id = OLD.id)
BEGIN
    SELECT RAISE(ABORT, 'the deletion of an organization is final, since audit events are append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER organizations_noted AFTER UPDATE ON organizations
WHEN OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL
BEGIN
    INSERT OR IGNORE INTO deleted_organizations VALUES (NEW.id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER deleted_organizations_added BEFORE INSERT ON deleted_organizations
WHEN NOT EXISTS (SELECT 1 FROM organizations WHERE id = NEW.id AND deleted_at IS NOT NULL)
BEGIN
    SELECT RAISE(ABORT, 'the deletion of an organization is final, since audit events are append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER deleted_organizations_keep BEFORE UPDATE ON deleted_organizations
BEGIN
    SELECT RAISE(ABORT, 'the deletion of an organization is final, since audit events are append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER deleted_organizations_stay BEFORE DELETE ON deleted_organizations
BEGIN
    SELECT RAISE(ABORT, 'the deletion of an organization is final, since audit events are append-only');
END;
-- +goose StatementEnd

DROP TRIGGER audit_events_stay;
-- +goose StatementBegin
CREATE TRIGGER audit_events_stay BEFORE DELETE ON audit_events
WHEN NOT EXISTS (SELECT 1 FROM deleted_organizations WHERE id = OLD.organization_id)
BEGIN
    SELECT RAISE(ABORT, 'audit events are append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_events_added BEFORE INSERT ON audit_events
WHEN EXISTS (SELECT 1 FROM audit_events WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'audit events are append-only');
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER audit_events_added;
DROP TRIGGER audit_events_stay;
-- +goose StatementBegin
CREATE TRIGGER audit_events_stay BEFORE DELETE ON audit_events
WHEN OLD.organization_id IS NULL
    OR EXISTS (SELECT 1 FROM organizations WHERE id = OLD.organization_id AND deleted_at IS NULL)
BEGIN
    SELECT RAISE(ABORT, 'audit events are append-only');
END;
-- +goose StatementEnd

DROP TRIGGER organizations_added;
DROP TRIGGER organizations_final;
DROP TRIGGER organizations_stay;
DROP TRIGGER organizations_noted;
DROP TABLE deleted_organizations;
