/** A component that this repository builds from source, in `components/<name>/`. Its world has the component's name. */
export type ComponentSource = {
  readonly name: string
  /** One line, for `--list`. */
  readonly purpose: string
} & (
  | {
      readonly language: 'javascript'
      /** Relative to the component's folder. */
      readonly entry: string
      /** An `incomingHandler` that the program exports serves many requests per instance; a `fetch` event listener only one. */
      readonly style: 'handler-export' | 'fetch-event'
    }
  | { readonly language: 'c' | 'rust' | 'go' | 'python' }
)

export const catalog: readonly ComponentSource[] = [
  {
    name: 'api-gateway',
    purpose: 'the demonstration: trades its identity at AWS STS and calls Bedrock and S3',
    language: 'javascript',
    entry: 'src/main.js',
    style: 'handler-export',
  },
  { name: 'whoami-c', purpose: 'answers with its own SPIFFE ID, and times warm store.get calls', language: 'c' },
  { name: 'hello-c', purpose: 'answers hello: the smallest wasi:http component', language: 'c' },
  {
    name: 'hello-cli-c',
    purpose: 'a wasi:cli/run component: prints arguments and environment, ends with a code',
    language: 'c',
  },
  {
    name: 'hello-javascript',
    purpose: 'hello, its SPIFFE ID and wasi:cli/run, as a service worker’s fetch event',
    language: 'javascript',
    entry: 'src/main.js',
    style: 'fetch-event',
  },
  { name: 'hello-python', purpose: 'hello, its SPIFFE ID and wasi:cli/run, with componentize-py', language: 'python' },
  { name: 'hello-rust', purpose: 'hello, its SPIFFE ID and wasi:cli/run, with wit-bindgen', language: 'rust' },
  {
    name: 'hello-go',
    purpose: 'hello, its SPIFFE ID and wasi:cli/run, without a generator of bindings',
    language: 'go',
  },
  { name: 'config-c', purpose: 'answers its own settings: wasi:config', language: 'c' },
  { name: 'logging-c', purpose: 'writes log records when asked: wasi:logging', language: 'c' },
  { name: 'keyvalue-c', purpose: 'a store by URL: wasi:keyvalue with atomics and batch', language: 'c' },
  { name: 'messaging-c', purpose: 'answers messages and sends them: wasmcloud:messaging', language: 'c' },
  {
    name: 'blobstore-javascript',
    purpose: 'stores and serves files: wasi:blobstore',
    language: 'javascript',
    entry: 'src/main.js',
    style: 'fetch-event',
  },
  { name: 'secrets-c', purpose: 'asks for secrets: wasmcloud:secrets', language: 'c' },
  { name: 'ledger-c', purpose: 'exports functions that other components call', language: 'c' },
  { name: 'teller-c', purpose: 'calls those functions, and answers HTTP by them', language: 'c' },
]
