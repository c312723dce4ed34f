//go:build tools

// Package tools pins kubeconform, which the tests of the charts run.
package tools

import _ "github.com/yannh/kubeconform/cmd/kubeconform"
