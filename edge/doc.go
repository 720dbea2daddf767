// Package edge attacks a proxy in front of an API as its clients could. Behind the proxy
// is an echo, which answers with what reaches the API. The proxy asks Latchkey by
// forwardAuth. A case is a hole if a request reaches the API that must not, or with
// an identity that is not that of its key.
package edge
