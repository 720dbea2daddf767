-- +goose Up

-- A project issues access tokens of its keys: for whom, for how many seconds, and which of its signing keys are believed.
ALTER TABLE projects ADD COLUMN audience TEXT NOT NULL DEFAULT '';
ALTER TABLE projects ADD COLUMN token_ttl BIGINT NOT NULL DEFAULT 300;
ALTER TABLE projects ADD COLUMN token_epoch BIGINT NOT NULL DEFAULT 0;
