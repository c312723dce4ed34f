import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Kubernetes } from './kubernetes.ts'

type Schema = { [key: string]: unknown }
type OpenApi = { definitions: Record<string, Schema> }
type GroupVersionKind = { readonly group: string; readonly version: string; readonly kind: string }

/**
 * Writes a JSON schema for every kind that the API server serves (those of CustomResourceDefinitions too) where kubeconform finds them:
 * `<directory>/<group>/<kind>_<version>.json`, lower case. Unknown fields are errors.
 * @returns the template for kubeconform's -schema-location
 */
export async function writeKubernetesSchemas(kubernetes: Kubernetes, directory: string): Promise<string> {
  const { definitions } = JSON.parse(await kubernetes.kubectl('get', '--raw=/openapi/v2')) as OpenApi
  const strict: Record<string, Schema> = {}
  for (const [name, definition] of Object.entries(definitions)) strict[name] = strictly(name, definition)
  for (const [name, definition] of Object.entries(definitions)) {
    for (const { group, version, kind } of (definition['x-kubernetes-group-version-kind'] ??
      []) as GroupVersionKind[]) {
      // kubeconform takes what stands before the slash of apiVersion for the group: of the core group, the version.
      const folder = join(directory, group === '' ? version : group)
      mkdirSync(folder, { recursive: true })
      const schema = { $ref: `#/definitions/${name}`, definitions: reachable(name, strict) }
      writeFileSync(join(folder, `${kind.toLowerCase()}_${version}.json`), JSON.stringify(schema))
    }
  }
  return join(directory, '{{.Group}}', '{{.ResourceKind}}_{{.ResourceAPIVersion}}.json')
}

/** What OpenAPI v2 leaves open: quantities and ports may be numbers or text, and a field that is not listed is none. */
function strictly(name: string, definition: Schema): Schema {
  if (name.endsWith('.api.resource.Quantity')) return { type: ['string', 'number'] }
  if (name.endsWith('.util.intstr.IntOrString')) return { type: ['string', 'integer'] }
  const closed = closeObjects(definition) as Schema
  delete closed['x-kubernetes-group-version-kind']
  return closed
}

function closeObjects(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closeObjects)
  if (typeof value !== 'object' || value === null) return value
  const copy = Object.fromEntries(Object.entries(value).map(([key, child]) => [key, closeObjects(child)]))
  const open = copy['x-kubernetes-preserve-unknown-fields'] === true || 'additionalProperties' in copy
  if (typeof copy.properties === 'object' && !Array.isArray(copy.properties) && !open) copy.additionalProperties = false
  return copy
}

function reachable(name: string, definitions: Readonly<Record<string, Schema>>): Record<string, Schema> {
  const found: Record<string, Schema> = {}
  const open = [name]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const definition = definitions[next]
    if (definition === undefined || next in found) continue
    found[next] = definition
    for (const [, reference] of JSON.stringify(definition).matchAll(/"#\/definitions\/([^"]+)"/g)) open.push(reference!)
  }
  return found
}
