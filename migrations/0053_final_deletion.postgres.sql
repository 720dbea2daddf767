-- +goose Up

-- The deletion of an organization is final, so that no one can make it look
-- deleted for a moment, remove its audit events and bring it back. Its id stays
-- here, and its events can go because it is here.
CREATE TABLE deleted_organizations (
    id TEXT PRIMARY KEY
);
INSERT INTO deleted_organizations SELECT id FROM organizations WHERE deleted_at IS NOT NULL;

-- +goose StatementBegin
CREATE FUNCTION deletion_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'organizations' THEN
        IF TG_OP = 'INSERT' THEN
            IF NEW.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM deleted_organizations WHERE id = NEW.id) THEN
                RETURN NEW;
            END IF;
        ELSIF TG_OP = 'UPDATE' THEN
            IF NEW.id = OLD.id AND (OLD.deleted_at IS NULL OR NEW.deleted_at IS NOT DISTINCT FROM OLD.deleted_at) THEN
                RETURN NEW;
            END IF;
        ELSIF TG_OP = 'DELETE' THEN
            IF EXISTS (SELECT 1 FROM deleted_organizations WHERE id = OLD.id) THEN
                RETURN OLD;
            END IF;
        END IF;
    ELSIF TG_OP = 'INSERT' THEN
        IF EXISTS (SELECT 1 FROM organizations WHERE id = NEW.id AND deleted_at IS NOT NULL) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the deletion of an organization is final, since audit events are append-only' USING ERRCODE = 'restrict_violation';
END
$$;

CREATE FUNCTION note_deleted_organization() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO deleted_organizations VALUES (NEW.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION audit_events_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT 1 FROM deleted_organizations WHERE id = OLD.organization_id) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'audit events are append-only' USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER organizations_final BEFORE INSERT OR UPDATE OR DELETE ON organizations
    FOR EACH ROW EXECUTE FUNCTION deletion_is_final();
CREATE TRIGGER organizations_stay BEFORE TRUNCATE ON organizations
    FOR EACH STATEMENT EXECUTE FUNCTION deletion_is_final();
CREATE TRIGGER organizations_noted AFTER UPDATE ON organizations
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION note_deleted_organization();
CREATE TRIGGER deleted_organizations_final BEFORE INSERT OR UPDATE OR DELETE ON deleted_organizations
    FOR EACH ROW EXECUTE FUNCTION deletion_is_final();
CREATE TRIGGER deleted_organizations_stay BEFORE TRUNCATE ON deleted_organizations
    FOR EACH STATEMENT EXECUTE FUNCTION deletion_is_final();

-- +goose Down
DROP TRIGGER organizations_noted ON organizations;
DROP TRIGGER organizations_stay ON organizations;
DROP TRIGGER organizations_final ON organizations;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION audit_events_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
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
DROP TABLE deleted_organizations;
DROP FUNCTION note_deleted_organization();
DROP FUNCTION deletion_is_final();
