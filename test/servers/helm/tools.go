//go:build tools

// Package tools pins Helm, which the tests of the charts run.
package tools

import _ "helm.sh/helm/v4/cmd/helm"
