/** Floors of the house, lowest first. Imports go down only; rooms on one floor do not import each other. */
export const floors: readonly (readonly string[])[] = [
  ['spiffe', 'errors', 'clock'],
  ['manifest', 'observability', 'config', 'wit'],
  ['identity', 'federation', 'lattice', 'oci'],
  ['wasi', 'capabilities'],
  ['engine'],
  ['host', 'ingress'],
  ['control', 'console', 'callout'],
  ['cli'],
]

/** Of floor 0, what every room stands on, its neighbours on that floor too. */
export const foundations: readonly string[] = ['errors', 'clock']

/** Sideways imports that are allowed: the contract file of a neighbour, which the importing room is written against. */
export const sharedContracts: readonly { readonly from: string; readonly file: string }[] = [
  // An instance of a guest is one thing for its WASI and for its capabilities.
  { from: 'wasi', file: 'capabilities/capability.ts' },
]

/** Foreign package → folders under src that may import it. A package that is not here belongs to no room. */
export const packageOwners: Readonly<Record<string, readonly string[]>> = {
  '@bytecodealliance/jco': ['engine'],
  '@opentelemetry/exporter-logs-otlp-http': ['observability'],
  '@opentelemetry/exporter-metrics-otlp-http': ['observability'],
  '@opentelemetry/exporter-prometheus': ['observability'],
  '@opentelemetry/exporter-trace-otlp-http': ['observability'],
  '@opentelemetry/resources': ['observability'],
  '@opentelemetry/sdk-logs': ['observability'],
  '@opentelemetry/sdk-metrics': ['observability'],
  '@opentelemetry/sdk-trace': ['observability'],
  '@grpc/grpc-js': ['identity/spire'],
  '@grpc/proto-loader': ['identity/spire'],
  '@redis/client': ['capabilities/keyvalue'],
  acorn: ['engine'],
  commander: ['cli'],
  jose: ['spiffe', 'identity', 'federation'],
  nats: ['lattice'],
  pino: ['observability'],
  yaml: ['manifest', 'config', 'federation'],
  // Whatever parses what comes from outside.
  zod: ['manifest', 'config', 'oci', 'federation', 'engine', 'control', 'callout'],
}

/** The one file that reads the command line and the environment. */
export const environmentFile = 'cli/environment.ts'
