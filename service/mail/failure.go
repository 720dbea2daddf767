package mail

import "errors"

// Class says why an email was not delivered.
type Class string

// The classes of failures. All but Deferred and Unreachable are final.
const (
	Refused     Class = "refused"     // the server refused it for good: a code of 5xx
	Address     Class = "address"     // no email can reach its address
	Unreadable  Class = "unreadable"  // what it says cannot be read
	Expired     Class = "expired"     // it could not be delivered in its time
	Deferred    Class = "deferred"    // the server wants it later: a code of 4xx
	Unreachable Class = "unreachable" // no connection, no TLS, or no sign-in
)

// Classes are those that end an email.
var Classes = []Class{Refused, Address, Unreadable, Expired}

// Failure is why an email was not delivered. It says nothing of what is in it,
// nor to whom it goes.
type Failure struct { //nolint:errname // it is what became of an email, and is stored and counted as such
	Class Class
	text  string
}

// Fail returns a Failure; text is for the log.
func Fail(class Class, text string) error { return &Failure{class, text} }

func (f *Failure) Error() string { return f.text }

// ClassOf returns the class of a failure; Unreachable for any other error.
func ClassOf(err error) Class {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f.Class
	}
	return Unreachable
}

// IsFinal reports whether there is no use in trying again.
func IsFinal(err error) bool {
	class := ClassOf(err)
	return class != Deferred && class != Unreachable
}
