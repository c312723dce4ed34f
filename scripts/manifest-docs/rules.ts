import { parse } from 'yaml'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { parseManifest } from '../../src/manifest/parse-manifest.ts'

/** What a host says to a manifest that the schema of single keys would take. */
export type ManifestRule = {
  /** The workload's spec, or all of the document when it begins with `kind:`. */
  readonly spec: string
  /** Refused, or taken with a warning. */
  readonly ends: 'refused' | 'warning'
  /** ERR_ code; a warning has none. */
  readonly code?: string
  readonly says: string
}

const component = 'components: [{name: api, image: ghcr.io/o/api:1}]'
const file = 'components: [{name: api, image: file://api.wasm'
const entry = (text: string) => `${component}\nhostInterfaces: [${text}]`
const http = (config: string) => `{namespace: wasi, package: http, interfaces: [incoming-handler], config: {${config}}}`
const identity = (rest: string) => entry(`{namespace: wasmcloud, package: identity, interfaces: [store]${rest}}`)
const resources = (text: string) => `components: [{name: api, image: ghcr.io/o/api:1, localResources: {${text}}}]`
const deployment = (rest: string) =>
  `kind: WorkloadDeployment\napiVersion: runtime.wasmcloud.dev/v1alpha1\nmetadata: {name: shop}\nspec:\n  ${rest}\n  template: {spec: {${component}}}`

/** One manifest for every rule, in the order of the reference. */
const examples: readonly string[] = [
  '{}',
  'components: [{name: api, image: ghcr.io/o/a:1}, {name: api, image: ghcr.io/o/b:1}]',
  'components: [{name: service, image: ghcr.io/o/a:1}]\nservice: {image: ghcr.io/o/b:1}',
  'components: [{name: api, image: "ghcr.io/O/api"}]',
  `${file.replace('api.wasm', 'missing.wasm')}}]`,
  resources('volumeMounts: [{name: data, mountPath: /data}]'),
  `volumes: [{name: data, ephemeral: {}}]\n${resources('volumeMounts: [{name: data, mountPath: /d}, {name: data, mountPath: /d}]')}`,
  resources('allowedHostLoopbackPorts: ["70000"]'),
  `${component}\nvolumes: [{name: data}]`,
  `${component}\nvolumes: [{name: data, ephemeral: {}}, {name: data, ephemeral: {}}]`,
  entry(`${http('host: a')}, ${http('host: b')}`),
  entry(`${http('host: a').replace('{', '{name: x, ')}, ${http('host: b').replace('{', '{name: x, ')}`),
  entry(http('host: "https://shop.example.org"')),
  identity(''),
  identity(', config: {audiences: "sts.amazonaws.com,"}'),
  resources('environment: {configFrom: [{name: settings}]}'),
  identity(', config: {audiences: a}, secretFrom: [{name: password}]'),
  deployment('artifacts: [{name: api, artifactFrom: {name: api}}]'),
  deployment('deployPolicy: Recreate'),
  `${component}\nkubernetes: {service: {name: api}}`,
  `${file}, imagePullPolicy: Always}]`,
  'components: [{name: api, image: ghcr.io/o/api:1, maxConcurrency: 4}]',
  'components: [{name: api, image: ghcr.io/o/api:1, poolSize: 0, maxInvocations: 9}]',
  entry(http('hosts: a')),
]

/** The rules, with what a host really says to their examples. @throws when one of the examples is simply taken, or breaks two rules */
export const manifestRules = (): readonly ManifestRule[] => examples.map(ruleOf)

function ruleOf(spec: string): ManifestRule {
  const text = spec.startsWith('kind:')
    ? spec
    : JSON.stringify({
        apiVersion: 'runtime.wasmcloud.dev/v1alpha1',
        kind: 'Workload',
        metadata: { name: 'shop' },
        spec: parse(spec),
      })
  const options = { file: 'workload.yaml', baseDirectory: '/app', isFile: (path: string) => path === '/app/api.wasm' }
  try {
    const { warnings } = parseManifest(text, options)
    const [warning] = warnings
    if (warning === undefined || warnings.length > 1) throw new Error(`${warnings.length} warnings for: ${spec}`)
    return { spec, ends: 'warning', says: warning.message }
  } catch (error) {
    if (!isHeraldError(error)) throw error
    if ('problems' in error && (error.problems as readonly unknown[]).length !== 1)
      throw new Error(`several problems for: ${spec}`)
    return { spec, ends: 'refused', code: error.code, says: error.message }
  }
}
