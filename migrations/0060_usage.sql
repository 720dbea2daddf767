-- +goose Up

-- How often keys were used: a row for each day, subject and measure, with the 24
-- hours of the day (UTC) in columns. The subject is a key's id, or the project's id
-- for everything in it together. The measure is an outcome. external_id and
-- environment are those of the key at that time; the rows have no reference to the
-- key, since what was used stays true when a key is deleted.
CREATE TABLE usage_days (
    project_id      TEXT NOT NULL,
    subject         TEXT NOT NULL,
    day             BIGINT NOT NULL,
    measure         TEXT NOT NULL,
    external_id     TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    environment     TEXT NOT NULL,
    total           BIGINT NOT NULL,
    h00 BIGINT, h01 BIGINT, h02 BIGINT, h03 BIGINT, h04 BIGINT, h05 BIGINT, h06 BIGINT, h07 BIGINT,
    h08 BIGINT, h09 BIGINT, h10 BIGINT, h11 BIGINT, h12 BIGINT, h13 BIGINT, h14 BIGINT, h15 BIGINT,
    h16 BIGINT, h17 BIGINT, h18 BIGINT, h19 BIGINT, h20 BIGINT, h21 BIGINT, h22 BIGINT, h23 BIGINT,
    PRIMARY KEY (project_id, subject, day, measure, external_id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX usage_days_day ON usage_days (project_id, day);
CREATE INDEX usage_days_old ON usage_days (day);
CREATE INDEX usage_days_customer ON usage_days (project_id, external_id, day) WHERE external_id <> '';

-- The last 48 hours of each project, by minute.
CREATE TABLE usage_minutes (
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    minute     BIGINT NOT NULL,
    measure    TEXT NOT NULL,
    total      BIGINT NOT NULL,
    PRIMARY KEY (project_id, minute, measure)
);
CREATE INDEX usage_minutes_old ON usage_minutes (minute);

-- The last batch of counts that was applied for each node. A node that exits
-- removes its row; a row whose node is not listed any more is of one that was
-- killed, with what it had counted since.
CREATE TABLE flushes (
    node_id TEXT PRIMARY KEY,
    number  BIGINT NOT NULL,
    at      BIGINT NOT NULL
);

-- All uses that a node has counted before this are written; 0 for nodes that do
-- not count.
ALTER TABLE nodes ADD COLUMN flushed_at BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE nodes DROP COLUMN flushed_at;
DROP TABLE flushes;
DROP TABLE usage_minutes;
DROP TABLE usage_days;
