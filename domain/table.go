package domain

import (
	"encoding/csv"
	"io"
)

// Table returns what writes items to w as CSV, after a first row with the names of
// the columns.
func Table[T any](w io.Writer, columns []string, row func(T) ([]string, error)) (write func([]T) error) {
	rows := csv.NewWriter(w)
	rows.UseCRLF = true // RFC 4180, section 2
	header := rows.Write(columns)
	return func(items []T) error {
		if header != nil {
			return header
		}
		for _, item := range items {
			cells, err := row(item)
			if err != nil {
				return err
			}
			if err := rows.Write(cells); err != nil {
				return err
			}
		}
		rows.Flush()
		return rows.Error()
	}
}
