-- +goose Up

-- A node that begins takes its share of every rate limit, so the others hear of it.
-- +goose StatementBegin
CREATE TRIGGER note_node AFTER INSERT ON nodes BEGIN
    INSERT INTO changes VALUES ((SELECT COALESCE(MAX(xid), 0) + 1 FROM changes), 'nodes', NEW.id);
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER note_node;
