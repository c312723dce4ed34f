//go:build tools

// Package tools pins the MinIO server that the tests run as a real STS and object store.
package tools

import _ "github.com/minio/minio"
