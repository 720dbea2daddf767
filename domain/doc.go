// Package domain holds Latchkey's nouns and rules: identifiers, keys and their
// token format, projects, organizations, roles, principals, actions and error
// codes. It performs no I/O and imports the standard library only, so every
// rule in it can be tested as a pure function and used by every other layer.
package domain
