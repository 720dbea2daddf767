-- +goose Up
UPDATE api_key_secrets SET first_used_at = u.first_used_at
    FROM api_key_usage AS u WHERE u.key_id = api_key_secrets.key_id AND u.token_id = api_key_secrets.token_id;
-- Of the secrets that rotations left behind, the one that goes on for longest.
UPDATE api_keys SET retiring_prefix = r.prefix, retiring_until = r.valid_until
    FROM api_key_secrets AS r
    WHERE r.project_id = api_keys.project_id AND r.key_id = api_keys.id AND r.valid_until IS NOT NULL AND r.token_id = (
        SELECT l.token_id FROM api_key_secrets AS l
        WHERE l.project_id = r.project_id AND l.key_id = r.key_id AND l.valid_until IS NOT NULL
        ORDER BY l.valid_until DESC, l.token_id LIMIT 1
    );
ALTER TABLE api_key_usage DROP COLUMN first_used_at;

-- +goose Down
ALTER TABLE api_key_usage ADD COLUMN first_used_at BIGINT NOT NULL DEFAULT 0;
UPDATE api_key_usage SET first_used_at = COALESCE(
    (SELECT s.first_used_at FROM api_key_secrets AS s WHERE s.token_id = api_key_usage.token_id), last_used_at
);
