package repository

import (
	"database/sql/driver"
	"fmt"
	"time"
)

// micros is a time as the database stores it: microseconds since 1970, and NULL
// for the zero time. Both databases store integers in the same way, unlike
// their types for times.
type micros struct{ time.Time }

func (m micros) Value() (driver.Value, error) {
	if m.IsZero() {
		return nil, nil //nolint:nilnil // NULL is nil for database/sql
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
