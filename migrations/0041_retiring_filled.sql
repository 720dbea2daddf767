-- +goose Up

-- Of the secrets that rotations left behind, the one that goes on for longest.
UPDATE api_keys SET retiring_prefix = r.prefix, retiring_until = r.valid_until
    FROM api_key_secrets AS r
    WHERE r.project_id = api_keys.project_id AND r.key_id = api_keys.id AND r.valid_until IS NOT NULL AND r.token_id = (
        SELECT l.token_id FROM api_key_secrets AS l
        WHERE l.project_id = r.project_id AND l.key_id = r.key_id AND l.valid_until IS NOT NULL
        ORDER BY l.valid_until DESC, l.token_id LIMIT 1
    );

-- +goose Down
-- The columns go next, with all that is in them.
SELECT 1;
