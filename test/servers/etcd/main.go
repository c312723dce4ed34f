// Command etcd is etcd's own program; the published server module has everything but a main package that the module proxy can give.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
