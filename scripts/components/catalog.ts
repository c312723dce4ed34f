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
    }
  | { readonly language: 'c' }
)

export const catalog: readonly ComponentSource[] = [
  {
    name: 'api-gateway',
    purpose: 'the demonstration: trades its identity at AWS STS and calls Bedrock and S3',
    language: 'javascript',
    entry: 'src/main.js',
  },
  { name: 'whoami-c', purpose: 'answers with its own SPIFFE ID, and times warm store.get calls', language: 'c' },
  { name: 'hello-c', purpose: 'answers hello: the smallest wasi:http component', language: 'c' },
  {
    name: 'hello-cli-c',
    purpose: 'a wasi:cli/run component: prints arguments and environment, ends with a code',
    language: 'c',
  },
]
