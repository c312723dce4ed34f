//go:build tools

// Package tools pins the OCI registry that the tests pull components from.
package tools

import _ "github.com/distribution/distribution/v3/cmd/registry"
