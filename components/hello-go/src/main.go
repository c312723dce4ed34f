// Says hello over HTTP, says who it is, and does the same from the command line.
package main

import (
	"fmt"
	"os"
	"strings"
)

const audience = "sts.amazonaws.com"

func handle(request incomingRequest, out responseOutparam) {
	defer request.drop()
	path, _, _ := strings.Cut(request.pathWithQuery(), "?")
	switch path {
	case "/", "":
		respond(out, 200, "hello from Go\n")
	case "/whoami":
		id, err := spiffeID(audience)
		if err != nil {
			respond(out, err.status, err.message+"\n")
			return
		}
		respond(out, 200, id+"\n")
	default:
		respond(out, 404, "there is / and /whoami\n")
	}
}

func run() bool {
	// A host may give no arguments at all, not even a name.
	fmt.Println("hello from Go,", strings.Join(os.Args[min(1, len(os.Args)):], " "))
	id, err := spiffeID(audience)
	if err != nil {
		fmt.Fprintln(os.Stderr, err.message)
		return false
	}
	fmt.Println(id)
	return true
}

// A reactor: the host calls the exports, main never runs.
func main() {}
