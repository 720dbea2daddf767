package outgoing

import "errors"

// Class says why a request was not answered with success.
type Class string

// The classes of failures.
const (
	AddressNotAllowed Class = "address_not_allowed" // no connection was made: the address is not public
	Name              Class = "name"                // the name of the host cannot be resolved
	Connection        Class = "connection"          // the host does not accept connections
	TLS               Class = "tls"                 // no TLS, or a certificate that is not valid for the host
	Timeout           Class = "timeout"             // no answer in time
	Answer            Class = "answer"              // the connection ended early, or the answer is not HTTP
	Redirect          Class = "redirect"            // a status of 3xx, which is not followed
	Status            Class = "status"              // any other status that is not 2xx
	Unusable          Class = "unusable"            // the request cannot be made
)

// Classes are all of them.
var Classes = []Class{AddressNotAllowed, Name, Connection, TLS, Timeout, Answer, Redirect, Status, Unusable}

// Failure is why a request failed. It repeats nothing of the address or the answer.
type Failure struct { //nolint:errname // it is what became of a request, and is stored and counted as such
	Class Class
	text  string
}

func fail(class Class, text string) *Failure { return &Failure{class, text} }

func (f *Failure) Error() string { return f.text }

// ClassOf returns the class of an error of Post; Unusable for any other error.
func ClassOf(err error) Class {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f.Class
	}
	return Unusable
}
