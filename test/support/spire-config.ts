import { join } from 'node:path'

/** What the three configuration files are made from. Ports are of 127.0.0.1; `directory` is where all files of this SPIRE are. */
export interface SpireLayout {
  readonly directory: string
  readonly trustDomain: string
  readonly serverPort: number
  readonly oidcPort: number
  readonly defaultJwtSvidTtl: string
  readonly caTtl: string
  readonly authorizedDelegates: readonly string[]
  readonly syncInterval: string
  readonly serverSocketPath: string
  readonly workloadSocketPath: string
  readonly adminSocketPath: string
  readonly issuer: string
  readonly cacheReloadInterval: string
  readonly svidCacheSize?: number | undefined
  /** Of the bundle endpoint, if there is one. */
  readonly bundlePort?: number | undefined
}

export function serverConfig(layout: SpireLayout): string {
  const data = join(layout.directory, 'server')
  return `
server {
  bind_address = "127.0.0.1"
  bind_port = "${layout.serverPort}"
  trust_domain = "${layout.trustDomain}"
  socket_path = "${layout.serverSocketPath}"
  data_dir = "${data}"
  ca_ttl = "${layout.caTtl}"
  default_jwt_svid_ttl = "${layout.defaultJwtSvidTtl}"
  jwt_issuer = "${layout.issuer}"
  experimental { cache_reload_interval = "${layout.cacheReloadInterval}" }
  ${layout.bundlePort === undefined ? '' : bundleEndpoint(layout.bundlePort)}
}
plugins {
  DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "${join(data, 'datastore.sqlite3')}" } }
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "disk" { plugin_data { keys_path = "${join(data, 'keys.json')}" } }
}
`
}

function bundleEndpoint(port: number): string {
  return `federation { bundle_endpoint { address = "127.0.0.1" port = ${port} profile "https_spiffe" {} } }`
}

function svidCaches(size: number): string {
  return `x509_svid_cache_max_size = ${size}\n  jwt_svid_cache_max_size = ${size}`
}

export function agentConfig(layout: SpireLayout): string {
  const data = join(layout.directory, 'agent')
  return `
agent {
  data_dir = "${data}"
  log_level = "DEBUG"
  server_address = "127.0.0.1"
  server_port = "${layout.serverPort}"
  trust_domain = "${layout.trustDomain}"
  socket_path = "${layout.workloadSocketPath}"
  admin_socket_path = "${layout.adminSocketPath}"
  authorized_delegates = ${JSON.stringify(layout.authorizedDelegates)}
  insecure_bootstrap = true
  ${layout.svidCacheSize === undefined ? '' : svidCaches(layout.svidCacheSize)}
  experimental { sync_interval = "${layout.syncInterval}" }
}
plugins {
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "disk" { plugin_data { directory = "${data}" } }
  WorkloadAttestor "unix" { plugin_data {} }
}
`
}

export function oidcConfig(layout: SpireLayout): string {
  return `
log_level = "info"
domains = ["localhost"]
insecure_addr = "127.0.0.1:${layout.oidcPort}"
allow_insecure_scheme = true
server_api {
  address = "unix://${layout.serverSocketPath}"
  poll_interval = "1s"
}
`
}
