package console

// Span is what pages call a length of time.
var Span = span
