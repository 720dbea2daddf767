-- +goose Up

-- Whose the changes are, so that a project can follow its own: clients of syncKeys keep
-- answers about tokens until they hear that one is no longer true. A change of a token
-- names its project. What ends or revives all tokens of a project or an organization at
-- a time is of the kind reset. The triggers named no columns, which SQLite takes for all of
-- them, so they are made again.
ALTER TABLE changes ADD COLUMN project_id TEXT NOT NULL DEFAULT '';

DROP TRIGGER note_key;
DROP TRIGGER note_secret_update;
DROP TRIGGER note_project_update;
DROP TRIGGER note_project_delete;
DROP TRIGGER note_organization_update;
DROP TRIGGER note_organization_delete;
DROP TRIGGER note_membership_update;
DROP TRIGGER note_membership_delete;
DROP TRIGGER note_user_update;
DROP TRIGGER note_user_delete;
DROP TRIGGER note_session_update;
DROP TRIGGER note_session_delete;
DROP TRIGGER note_signing_key_insert;
DROP TRIGGER note_signing_key_update;
DROP TRIGGER note_signing_key_delete;
DROP TRIGGER note_secret_delete;
DROP TRIGGER note_untagged;
DROP TRIGGER note_plan_insert;
DROP TRIGGER note_plan_update;
DROP TRIGGER note_plan_delete;
DROP TRIGGER note_node;
-- +goose StatementBegin
CREATE TRIGGER note_key AFTER UPDATE ON api_keys BEGIN
    INSERT INTO changes SELECT (SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'token', token_id, project_id
        FROM api_key_secrets WHERE project_id = NEW.project_id AND key_id = NEW.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_secret_update AFTER UPDATE ON api_key_secrets BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'token', OLD.token_id, OLD.project_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_project_update AFTER UPDATE ON projects BEGIN
    INSERT INTO changes (xid, kind, object) VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'project', OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_project_delete AFTER DELETE ON projects BEGIN
    INSERT INTO changes (xid, kind, object) VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'project', OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_organization_update AFTER UPDATE ON organizations BEGIN
    INSERT INTO changes (xid, kind, object) VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'organization', OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_organization_delete AFTER DELETE ON organizations BEGIN
    INSERT INTO changes (xid, kind, object) VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'organization', OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_membership_update AFTER UPDATE ON memberships BEGIN
    INSERT INTO changes (xid, kind, object) VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'user', OLD.user_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_membership_delete AFTER DELETE ON memberships BEGIN
    INSERT INTO changes (xid, kind, object) VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'user', OLD.user_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_user_update AFTER UPDATE ON users BEGIN
    INSERT INTO changes (xid, kind, object) VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'user', OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_user_delete AFTER DELETE ON users BEGIN
    INSERT INTO changes (xid, kind, object) VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'user', OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_session_update AFTER UPDATE OF user_id, created_at, expires_at ON sessions BEGIN
    INSERT INTO changes (xid, kind, object) VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'session', OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_session_delete AFTER DELETE ON sessions BEGIN
    INSERT INTO changes (xid, kind, object) VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'session', OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_signing_key_insert AFTER INSERT ON signing_keys BEGIN
    INSERT INTO changes (xid, kind, object) VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'signing_keys', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_signing_key_update AFTER UPDATE ON signing_keys BEGIN
    INSERT INTO changes (xid, kind, object) VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'signing_keys', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_signing_key_delete AFTER DELETE ON signing_keys BEGIN
    INSERT INTO changes (xid, kind, object) VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'signing_keys', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_secret_delete AFTER DELETE ON api_key_secrets
    WHEN EXISTS (
        SELECT 1 FROM projects p JOIN organizations o ON o.id = p.organization_id
        WHERE p.id = OLD.project_id AND p.deleted_at IS NULL AND o.deleted_at IS NULL
    ) BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'token', OLD.token_id, OLD.project_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_untagged AFTER INSERT ON api_key_secrets
    WHEN NOT NEW.tagged AND NEW.lookup IS NULL BEGIN
    INSERT INTO changes (xid, kind, object) VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'untagged', NEW.token_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_plan_insert AFTER INSERT ON plans BEGIN
    INSERT INTO changes (xid, kind, object) VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'project', NEW.project_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_plan_update AFTER UPDATE ON plans BEGIN
    INSERT INTO changes (xid, kind, object) VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'project', OLD.project_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_plan_delete AFTER DELETE ON plans BEGIN
    INSERT INTO changes (xid, kind, object) VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'project', OLD.project_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_node AFTER INSERT ON nodes BEGIN
    INSERT INTO changes (xid, kind, object) VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'nodes', NEW.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_project_reset AFTER UPDATE ON projects
    WHEN OLD.status <> NEW.status OR OLD.deleted_at IS NOT NEW.deleted_at OR OLD.suspended_at IS NOT NEW.suspended_at BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'reset', OLD.id, '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_project_end AFTER DELETE ON projects BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'reset', OLD.id, '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_organization_reset AFTER UPDATE ON organizations
    WHEN OLD.status <> NEW.status OR OLD.deleted_at IS NOT NEW.deleted_at OR OLD.suspended_at IS NOT NEW.suspended_at BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'reset', OLD.id, '');
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER note_project_reset;
DROP TRIGGER note_project_end;
DROP TRIGGER note_organization_reset;
DROP TRIGGER note_key;
DROP TRIGGER note_secret_update;
DROP TRIGGER note_project_update;
DROP TRIGGER note_project_delete;
DROP TRIGGER note_organization_update;
DROP TRIGGER note_organization_delete;
DROP TRIGGER note_membership_update;
DROP TRIGGER note_membership_delete;
DROP TRIGGER note_user_update;
DROP TRIGGER note_user_delete;
DROP TRIGGER note_session_update;
DROP TRIGGER note_session_delete;
DROP TRIGGER note_signing_key_insert;
DROP TRIGGER note_signing_key_update;
DROP TRIGGER note_signing_key_delete;
DROP TRIGGER note_secret_delete;
DROP TRIGGER note_untagged;
DROP TRIGGER note_plan_insert;
DROP TRIGGER note_plan_update;
DROP TRIGGER note_plan_delete;
DROP TRIGGER note_node;
ALTER TABLE changes DROP COLUMN project_id;
-- +goose StatementBegin
CREATE TRIGGER note_key AFTER UPDATE ON api_keys BEGIN
    INSERT INTO changes SELECT (SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'token', token_id
        FROM api_key_secrets WHERE project_id = NEW.project_id AND key_id = NEW.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_secret_update AFTER UPDATE ON api_key_secrets BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'token', OLD.token_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_project_update AFTER UPDATE ON projects BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'project', OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_project_delete AFTER DELETE ON projects BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'project', OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_organization_update AFTER UPDATE ON organizations BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'organization', OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_organization_delete AFTER DELETE ON organizations BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'organization', OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_membership_update AFTER UPDATE ON memberships BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'user', OLD.user_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_membership_delete AFTER DELETE ON memberships BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'user', OLD.user_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_user_update AFTER UPDATE ON users BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'user', OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_user_delete AFTER DELETE ON users BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'user', OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_session_update AFTER UPDATE OF user_id, created_at, expires_at ON sessions BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'session', OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_session_delete AFTER DELETE ON sessions BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'session', OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_signing_key_insert AFTER INSERT ON signing_keys BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'signing_keys', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_signing_key_update AFTER UPDATE ON signing_keys BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'signing_keys', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_signing_key_delete AFTER DELETE ON signing_keys BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'signing_keys', '');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_secret_delete AFTER DELETE ON api_key_secrets
    WHEN EXISTS (
        SELECT 1 FROM projects p JOIN organizations o ON o.id = p.organization_id
        WHERE p.id = OLD.project_id AND p.deleted_at IS NULL AND o.deleted_at IS NULL
    ) BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'token', OLD.token_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER note_untagged AFTER INSERT ON api_key_secrets
    WHEN NOT NEW.tagged AND NEW.lookup IS NULL BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'untagged', NEW.token_id);
END;
-- +goose StatementEnd
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
-- +goose StatementBegin
CREATE TRIGGER note_node AFTER INSERT ON nodes BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'nodes', NEW.id);
END;
-- +goose StatementEnd
