package journal

import (
	"encoding/binary"
	"fmt"

	"github.com/latchkey-dev/latchkey/domain"
)

// texts returns the texts of the header.
func (j *File) texts() (node, id string) {
	if string(j.header[:len(magic)]) != magic {
		return "", ""
	}
	rest := j.header[len(magic):]
	node, rest = text(rest)
	id, _ = text(rest)
	return node, id
}

func text(b []byte) (string, []byte) {
	if len(b) < 2 {
		return "", nil
	}
	n := int(binary.LittleEndian.Uint16(b))
	if n > len(b)-2 {
		return "", nil
	}
	return string(b[2 : 2+n]), b[2+n:]
}

func appendText(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(s))), s...) //nolint:gosec // ids and names are short
}

// generationOf is the last part of an id.
func generationOf(id string) (place string, generation uint64) {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i] == '/' {
			_, _ = fmt.Sscan(id[i+1:], &generation)
			return id[:i], generation
		}
	}
	return id, 0
}

// appendCounter appends a counter as readCounter reads it.
func appendCounter(b []byte, c domain.ProjectCounter) []byte {
	for _, s := range []string{string(c.Project), c.Owner, string(c.Type), c.Name, string(c.Per), c.Subject} {
		b = appendText(b, s)
	}
	return b
}

func readCounter(b []byte) (c domain.ProjectCounter, ok bool) {
	var parts [6]string
	for i := range parts {
		parts[i], b = text(b)
	}
	c.Project = domain.ProjectID(parts[0])
	c.Counter = domain.Counter{
		Owner:   parts[1],
		Type:    domain.LimitType(parts[2]),
		Name:    parts[3],
		Per:     domain.Per(parts[4]),
		Subject: parts[5],
	}
	return c, b != nil && c.Project != ""
}
