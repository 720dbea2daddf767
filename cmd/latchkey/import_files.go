package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/domain"
)

func openInput(cmd *cobra.Command, name string) (io.Reader, func(), error) {
	if name == "-" {
		return cmd.InOrStdin(), func() {}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	return f, func() { f.Close() }, nil
}

// fileRows reads a file in the format. Rows without an algorithm get the one that
// their hash shows, or the given one.
func fileRows(in io.Reader, format string, algorithm domain.Algorithm) (iter.Seq2[line, error], error) {
	in = withoutMark(in)
	var lines iter.Seq2[line, error]
	switch format {
	case "jsonl", "ndjson":
		lines = jsonLines(in)
	case "csv":
		lines = csvLines(in)
	default:
		return nil, errors.New("say with --format whether the file is jsonl or csv")
	}
	return func(yield func(line, error) bool) {
		for l, err := range lines {
			if l.row.Algorithm == "" {
				l.row.Algorithm = domain.Algorithm(cmp.Or(string(domain.AlgorithmOf(l.row.Hash.Reveal())), string(algorithm)))
			}
			if !yield(l, err) {
				return
			}
		}
	}, nil
}

// withoutMark removes the byte order mark that some programs write before UTF-8.
func withoutMark(in io.Reader) io.Reader {
	const mark = "\uFEFF"
	buffered := bufio.NewReader(in)
	if start, _ := buffered.Peek(len(mark)); string(start) == mark {
		_, _ = buffered.Discard(len(mark)) // it is in the buffer
	}
	return buffered
}

// importLine is a row of a file, with the field names of the API or those of the
// Django table.
type importLine struct {
	Name        string            `json:"name"`
	Algorithm   string            `json:"algorithm"`
	Hash        string            `json:"hash"`
	HashedKey   string            `json:"hashed_key"`
	Prefix      string            `json:"prefix"`
	Environment string            `json:"environment"`
	Scopes      []string          `json:"scopes"`
	ExternalID  string            `json:"external_id"`
	AllowedIPs  []string          `json:"allowed_ips"`
	Metadata    map[string]string `json:"metadata"`
	CreatedAt   string            `json:"created_at"`
	Created     string            `json:"created"`
	ExpiresAt   string            `json:"expires_at"`
	ExpiryDate  string            `json:"expiry_date"`
	Revoked     bool              `json:"revoked"`
	ID          string            `json:"id"` // Django's; the other fields already contain it
}

func (l importLine) row() domain.ImportRow {
	return domain.ImportRow{
		Name:        l.Name,
		Algorithm:   domain.Algorithm(l.Algorithm),
		Hash:        domain.Hidden(cmp.Or(l.Hash, l.HashedKey)),
		Prefix:      l.Prefix,
		Environment: domain.Environment(l.Environment),
		Scopes:      as[domain.Scope](l.Scopes),
		ExternalID:  l.ExternalID,
		AllowedIPs:  as[domain.Network](l.AllowedIPs),
		Metadata:    l.Metadata,
		CreatedAt:   domain.ParseImportTime(cmp.Or(l.CreatedAt, l.Created)),
		ExpiresAt:   domain.ParseImportTime(cmp.Or(l.ExpiresAt, l.ExpiryDate)),
		Revoked:     l.Revoked,
	}
}

func jsonLines(in io.Reader) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, maxImportLine)
		number := 0
		for scanner.Scan() {
			number++
			text := bytes.TrimSpace(scanner.Bytes())
			if len(text) == 0 {
				continue
			}
			var l importLine
			decoder := json.NewDecoder(bytes.NewReader(text))
			decoder.DisallowUnknownFields()
			out := line{number: number}
			if err := decoder.Decode(&l); err != nil || decoder.More() {
				out.bad = errors.New("is not one JSON object with the fields of a key")
			}
			out.row = l.row()
			if !yield(out, nil) {
				return
			}
		}
		if err := scanner.Err(); err != nil {
			yield(line{}, fmt.Errorf("line %d: %w", number+1, err))
		}
	}
}

func csvLines(in io.Reader) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		reader := csv.NewReader(in)
		head, err := reader.Read()
		if err == nil {
			err = checkHead(head)
		}
		if err != nil {
			yield(line{}, fmt.Errorf("the first line: %w", err))
			return
		}
		for {
			record, err := reader.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			number, _ := reader.FieldPos(0)
			out := line{number: number}
			if e, ok := errors.AsType[*csv.ParseError](err); ok {
				out.number, out.bad = e.StartLine, errors.New("is not CSV with as many fields as the first line")
			} else if err != nil {
				yield(line{}, err)
				return
			}
			if out.bad == nil {
				out.row, out.bad = csvRow(head, record)
			}
			if !yield(out, nil) {
				return
			}
		}
	}
}

// csvColumns are the fields of importLine.
var csvColumns = []string{
	"name", "algorithm", "hash", "hashed_key", "prefix", "environment", "scopes", "external_id", "metadata", "allowed_ips",
	"created_at", "created", "expires_at", "expiry_date", "revoked", "id",
}

func checkHead(head []string) error {
	for _, name := range head {
		if !slices.Contains(csvColumns, name) {
			return fmt.Errorf("%q is not a field of a key; those are: %s", name, strings.Join(csvColumns, ", "))
		}
	}
	return nil
}

func csvRow(head, record []string) (domain.ImportRow, error) {
	fields := map[string]string{}
	for i, name := range head {
		fields[name] = record[i]
	}
	l := importLine{
		Name:        fields["name"],
		Algorithm:   fields["algorithm"],
		Hash:        fields["hash"],
		HashedKey:   fields["hashed_key"],
		Prefix:      fields["prefix"],
		Environment: fields["environment"],
		Scopes:      strings.Fields(fields["scopes"]),
		ExternalID:  fields["external_id"],
		AllowedIPs:  strings.Fields(fields["allowed_ips"]),
		CreatedAt:   fields["created_at"],
		Created:     fields["created"],
		ExpiresAt:   fields["expires_at"],
		ExpiryDate:  fields["expiry_date"],
	}
	if text := fields["metadata"]; text != "" {
		if err := json.Unmarshal([]byte(text), &l.Metadata); err != nil {
			return domain.ImportRow{}, errors.New("metadata is not a JSON object of strings")
		}
	}
	switch strings.ToLower(fields["revoked"]) {
	case "", "0", "f", "false":
	case "1", "t", "true":
		l.Revoked = true
	default:
		return domain.ImportRow{}, errors.New("revoked is neither true nor false")
	}
	return l.row(), nil
}
