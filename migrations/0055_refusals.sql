-- +goose Up

-- How many refused sign-ins each hour has for an account, an organization and the
-- instance: how many became audit events, and how many were omitted because there
-- were too many. subject is the id of an account or an organization, or "instance";
-- hour is when the hour began. Rows go when their hour has ended.
CREATE TABLE refusals (
    hour     BIGINT NOT NULL,
    subject  TEXT NOT NULL,
    recorded BIGINT NOT NULL,
    omitted  BIGINT NOT NULL,
    PRIMARY KEY (hour, subject)
);

-- +goose Down
DROP TABLE refusals;
