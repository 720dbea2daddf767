-- +goose Up

-- What has changed of which nodes keep copies. Triggers write it, so no writer
-- can forget to; the server and the command line are processes apart. Nothing
-- is written for rows that are added: nobody has a copy of them. There is one
-- writer at a time, so xid, a number that grows, is also the order of commits.
CREATE TABLE changes (
    xid    BIGINT NOT NULL,
    kind   TEXT NOT NULL,
    object TEXT NOT NULL
);
CREATE INDEX changes_xid ON changes (xid);

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
-- Secrets that go with their whole project need no rows of their own: that of
-- the project ends them all.
-- +goose StatementBegin
CREATE TRIGGER note_secret_delete AFTER DELETE ON api_key_secrets
    WHEN EXISTS (
        SELECT 1 FROM projects p JOIN organizations o ON o.id = p.organization_id
        WHERE p.id = OLD.project_id AND o.deleted_at IS NULL
    ) BEGIN
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
-- Being used and refreshed is no change to what a session may do.
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

-- The servers that follow the changes, and how far each has come.
CREATE TABLE nodes (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    lag        BIGINT NOT NULL
);

-- +goose Down
DROP TABLE nodes;
DROP TRIGGER note_signing_key_delete;
DROP TRIGGER note_signing_key_update;
DROP TRIGGER note_signing_key_insert;
DROP TRIGGER note_session_delete;
DROP TRIGGER note_session_update;
DROP TRIGGER note_user_delete;
DROP TRIGGER note_user_update;
DROP TRIGGER note_membership_delete;
DROP TRIGGER note_membership_update;
DROP TRIGGER note_organization_delete;
DROP TRIGGER note_organization_update;
DROP TRIGGER note_project_delete;
DROP TRIGGER note_project_update;
DROP TRIGGER note_secret_delete;
DROP TRIGGER note_secret_update;
DROP TRIGGER note_key;
DROP TABLE changes;
