-- +goose Up

-- A node that begins takes its share of every rate limit, so the others hear of it.
CREATE TRIGGER note_node AFTER INSERT ON nodes FOR EACH ROW EXECUTE FUNCTION note_change('nodes', 'id');

-- +goose Down
DROP TRIGGER note_node ON nodes;
