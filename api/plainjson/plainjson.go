// Package plainjson writes the JSON of answers as people read it: <, > and & are not
// escaped, because an answer is never part of a page. It is the one place that
// says how an answer is encoded, so that both edges answer the same bytes.
package plainjson

import (
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// options are those of encoding/json, without escapes that JSON does not need.
// Raw strings are written anew because the types' own methods escape for HTML.
var options = json.JoinOptions(jsonv1.DefaultOptionsV1(), jsontext.EscapeForHTML(false), jsontext.EscapeForJS(false),
	jsontext.PreserveRawStrings(false))

// Encoder has the method of a json.Encoder that generated code calls.
type Encoder struct{ w io.Writer }

// NewEncoder returns an encoder that writes to w. Generated code calls it in place
// of json.NewEncoder.
func NewEncoder(w io.Writer) Encoder { return Encoder{w} }

// Encode writes v and a newline.
func (e Encoder) Encode(v any) error {
	if err := json.MarshalWrite(e.w, v, options); err != nil {
		return err
	}
	_, err := e.w.Write(newline)
	return err
}

var newline = []byte{'\n'}

// AppendString appends s as Encode writes it. What is not UTF-8 becomes U+FFFD.
func AppendString(b []byte, s string) []byte {
	if !IsPlain(s) {
		b, _ = jsontext.AppendQuote(b, s) // the error says only that s was not UTF-8
		return b
	}
	return append(append(append(b, '"'), s...), '"')
}

// IsPlain reports whether JSON has a text as it is, in quotes.
func IsPlain[T string | []byte](text T) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
