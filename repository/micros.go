package repository

import (
	"database/sql/driver"
	"fmt"
	"time"
)

// micros is a time as the database holds it: microseconds since 1970, NULL for
// the zero time. Both databases store integers alike, which cannot be said of
// their types for times.
type micros struct{ time.Time }

func (m micros) Value() (driver.Value, error) {
	if m.IsZero() {
		return nil, nil //nolint:nilnil // NULL is what database/sql calls this
	}
	return m.UnixMicro(), nil
}

func (m *micros) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		m.Time = time.Time{}
	case int64:
		m.Time = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("a time is stored as microseconds, not as %T", src)
	}
	return nil
}
