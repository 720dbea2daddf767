// Package check holds the chart and the plain manifests to Kubernetes' own types. It is
// a module of its own, so that Latchkey does not depend on Helm and Kubernetes.
package check
