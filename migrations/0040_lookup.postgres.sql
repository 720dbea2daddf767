-- +goose Up

-- What proving a key asks for stands in the two rows that it reads anyway: when
-- a secret was first used, and what a rotation left behind. Added apart from
-- filling them, since adding a column keeps readers out until the transaction
-- ends.
ALTER TABLE api_key_secrets ADD COLUMN first_used_at BIGINT;
ALTER TABLE api_keys ADD COLUMN retiring_prefix TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN retiring_until BIGINT;

-- Being used for the first time is no change to what a secret proves.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION note_secret_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.first_used_at IS NOT DISTINCT FROM OLD.first_used_at THEN
            INSERT INTO changes VALUES (pg_current_xact_id()::text::bigint, 'token', OLD.token_id);
        END IF;
    ELSIF EXISTS (
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
        WHERE p.id = OLD.project_id AND p.deleted_at IS NULL AND o.deleted_at IS NULL
    ) THEN
        INSERT INTO changes VALUES (pg_current_xact_id()::text::bigint, 'token', OLD.token_id);
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
ALTER TABLE api_keys DROP COLUMN retiring_until;
ALTER TABLE api_keys DROP COLUMN retiring_prefix;
ALTER TABLE api_key_secrets DROP COLUMN first_used_at;
