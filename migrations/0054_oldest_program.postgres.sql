-- +goose Up

-- The oldest program that may use this database. A migration that is not
-- additive, so that an older program would misread or damage what it finds,
-- raises it; from 0.2 on, programs that are older refuse to start.
INSERT INTO settings (name, value) VALUES ('oldest_program', convert_to('0.1.0', 'UTF8'));

-- +goose Down
DELETE FROM settings WHERE name = 'oldest_program';
