-- +goose Up

-- Only PostgreSQL needs room for updates.
SELECT 1;

-- +goose Down
SELECT 1;
