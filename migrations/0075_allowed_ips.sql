-- +goose Up

-- The only networks that a key may be used from, as text in CIDR notation; an empty list means all addresses.
ALTER TABLE api_keys ADD COLUMN allowed_ips JSONB NOT NULL DEFAULT '[]';
