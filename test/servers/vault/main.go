// Command vault is HashiCorp Vault's own core, HTTP API and auth/jwt method, over storage in memory. What a whole Vault has beside
// that (cloud secrets engines, database plugins, its CLI) is left out: some of those modules cannot be had from the Go module proxy.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/hashicorp/go-hclog"
	jwtauth "github.com/hashicorp/vault-plugin-auth-jwt"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8200", "address of the HTTP API")
	flag.Parse()
	if err := serve(*listen); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(address string) error {
	logger := hclog.New(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Info})
	storage, err := inmem.NewInmem(nil, logger)
	if err != nil {
		return err
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical:           storage,
		Logger:             logger,
		DisableMlock:       true,
		BuiltinRegistry:    builtins{},
		CredentialBackends: map[string]logical.Factory{"jwt": jwtauth.Factory},
		// Every secret that is read from it comes with a lease, as dynamic secrets do.
		LogicalBackends: map[string]logical.Factory{"kv": vault.LeasedPassthroughBackendFactory},
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	properties := &vault.HandlerProperties{Core: core, ListenerConfig: &configutil.Listener{Address: address}}
	return http.Serve(listener, vaulthttp.Handler.Handler(properties))
}

// builtins says that the two factories above are part of the program, and nothing else is.
type builtins struct{}

func (builtins) Get(name string, kind consts.PluginType) (func() (interface{}, error), bool) {
	switch {
	case kind == consts.PluginTypeCredential && name == "jwt":
		return func() (interface{}, error) { return logical.Factory(jwtauth.Factory), nil }, true
	case kind == consts.PluginTypeSecrets && name == "kv":
		return func() (interface{}, error) { return logical.Factory(vault.LeasedPassthroughBackendFactory), nil }, true
	}
	return nil, false
}

func (b builtins) Contains(name string, kind consts.PluginType) bool {
	_, there := b.Get(name, kind)
	return there
}

func (builtins) Keys(kind consts.PluginType) []string {
	switch kind {
	case consts.PluginTypeCredential:
		return []string{"jwt"}
	case consts.PluginTypeSecrets:
		return []string{"kv"}
	}
	return nil
}

func (b builtins) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, b.Contains(name, kind)
}

func (builtins) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }
