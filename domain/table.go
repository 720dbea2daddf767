package domain

import (
	"encoding/csv"
	"io"
)

// Table returns what writes items to w as CSV, after a first row with the names of
// the columns.
func Table[T any](w io.Writer, columns []string, row func(T) ([]string, error)) (write func([]T) error) {
	rows := csv.NewWriter(w)
	rows.UseCRLF = true     // RFC 4180, section 2
	_ = rows.Write(columns) // what fails here and below, rows.Error returns
	return func(items []T) error {
		for _, item := range items {
			cells, err := row(item)
			if err != nil {
				return err
			}
			_ = rows.Write(cells)
		}
		rows.Flush()
		return rows.Error()
	}
}
