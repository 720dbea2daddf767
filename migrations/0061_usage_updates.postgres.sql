-- +goose Up

-- The rows of the day are updated every few seconds, and no indexed column with
-- them. Room on the page keeps the new version of a row beside the old one.
ALTER TABLE usage_days SET (fillfactor = 70);
ALTER TABLE usage_minutes SET (fillfactor = 70);

-- +goose Down
ALTER TABLE usage_minutes RESET (fillfactor);
ALTER TABLE usage_days RESET (fillfactor);
