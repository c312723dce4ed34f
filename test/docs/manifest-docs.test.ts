// docs/manifest.md is what the schema, the rules and the capabilities say, and its tables hold against the code that reads manifests.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { manifestDocs, manifestDocsPath } from '../../scripts/generate-manifest-docs.ts'
import { configSections } from '../../scripts/manifest-docs/config-keys.ts'
import { keyMeanings, meaningPath } from '../../scripts/manifest-docs/key-meanings.ts'
import { manifestRules } from '../../scripts/manifest-docs/rules.ts'
import { schemaKeys } from '../../scripts/manifest-docs/schema-rows.ts'
import { deploymentDocument, workloadDocument } from '../../src/manifest/manifest-schema.ts'
import { parseManifest } from '../../src/manifest/parse-manifest.ts'

test('docs/manifest.md is what the code says (else: node scripts/generate-manifest-docs.ts)', () => {
  assert.equal(readFileSync(manifestDocsPath, 'utf8'), manifestDocs())
})

test('every key of the schema has its meaning, and every meaning its key', () => {
  const paths = [
    ...schemaKeys(deploymentDocument),
    ...schemaKeys(workloadDocument).filter(({ path }) => !path.startsWith('spec.')),
  ]
  assert.deepEqual(
    [...new Set(paths.map(({ path }) => meaningPath(path)))].sort(),
    [
      ...Object.keys(keyMeanings).sort(),
      'deployment.kubernetes',
      'deployment.kubernetes.service',
      'deployment.kubernetes.service.name',
    ].sort(),
  )
})

test('a Workload’s spec is that of a WorkloadDeployment’s template', () => {
  const below = (schema: Parameters<typeof schemaKeys>[0], prefix: string) =>
    schemaKeys(schema).flatMap((key) =>
      key.path.startsWith(prefix) ? [{ ...key, path: key.path.slice(prefix.length) }] : [],
    )
  assert.deepEqual(below(workloadDocument, 'spec.'), below(deploymentDocument, 'spec.template.spec.'))
})

test('defaults of the schema’s keys are those that a host fills in', () => {
  const { workloads, warnings } = parseManifest(
    `{apiVersion: runtime.wasmcloud.dev/v1alpha1, kind: WorkloadDeployment, metadata: {name: x}, spec: {template: {spec: {
      components: [{name: c, image: ghcr.io/o/c, localResources: {volumeMounts: [{name: v, mountPath: /v}]}}], service: {image: ghcr.io/o/s}, volumes: [{name: v, ephemeral: {}}]}}}}`,
    { file: 'x', baseDirectory: '/', isFile: () => true },
  )
  assert.deepEqual(warnings, [])
  const [workload] = workloads
  const stated = (path: string) => keyMeanings[path]?.default?.replaceAll('`', '')
  assert.equal(workload?.namespace, stated('metadata.namespace'))
  assert.equal(String(workload?.replicas), stated('deployment.replicas'))
  assert.equal(String(workload?.service?.maxRestarts), stated('service.maxRestarts'))
  const [mount] = workload?.components[0]?.resources.volumeMounts ?? []
  assert.equal(String(mount?.readOnly), stated('localResources.volumeMounts[].readOnly'))
  assert.deepEqual(workload?.components[0]?.resources.allowedHosts, [])
})

test('the manifest at the top of the page is one that a host takes', () => {
  const [, yaml = ''] = /```yaml\n([\s\S]*?)```/.exec(manifestDocs()) ?? []
  const { workloads, warnings } = parseManifest(yaml, { file: 'x', baseDirectory: '/', isFile: () => true })
  assert.deepEqual(warnings, [])
  assert.equal(workloads[0]?.replicas, 2)
})

test('each rule’s manifest ends in something of its own', () => {
  const rules = manifestRules()
  assert.equal(new Set(rules.map(({ spec }) => spec)).size, rules.length)
  assert.ok(rules.filter(({ ends }) => ends === 'warning').length >= 6)
})

for (const section of configSections) {
  const { title, least, keys, known, parse } = section
  const needed: Record<string, string> = title.includes(', provider') ? { provider: keys[0]?.example ?? '' } : {}

  test(`config of ${title}: the keys are those of the code`, () => {
    assert.deepEqual(keys.map(({ key }) => key).sort(), [...known].sort())
  })

  const config: Readonly<Record<string, string>> = { ...needed, ...least }

  test(`config of ${title}: every example is taken, and a bad value is refused by the name of its key`, async () => {
    for (const { key, example, refused } of keys) {
      await parse({ ...config, [key]: example })
      if (refused === undefined) continue
      // An entry's SPIFFE ID and the audience of a bearer token are told by what they are.
      const named = { 'spiffe-id': 'SPIFFE ID', 'bearer-audience': 'audience' }[key] ?? key
      await assert.rejects(async () => parse({ ...config, [key]: refused }), new RegExp(named), `${key}: ${refused}`)
    }
  })

  test(`config of ${title}: what is required is missed, what holds without a key can be written, another key is refused`, async () => {
    const plain = await parse(config)
    for (const { key, fallback } of keys) {
      if (fallback === undefined && !refusedLater(title, key)) {
        assert.ok(key in config, `${key} is required, and not in the least config`)
        const rest = Object.fromEntries(Object.entries(config).filter(([each]) => each !== key))
        await assert.rejects(async () => parse(rest), Error, `without ${key}`)
      }
      const [, writable] = /^`([^`]+)`$/.exec(fallback ?? '') ?? []
      if (writable === undefined || writable in config) continue
      assert.deepEqual(await parse({ ...config, [key]: writable }), plain, `${key}: ${writable}`)
    }
    if (known.length > 0 && title !== 'wasi:http')
      await assert.rejects(async () => parse({ ...config, 'no-such-key': 'x' }), /no-such-key/)
  })
}

/** Of a backend that is chosen by its own key, and a directory that is looked at when the workload is deployed. */
function refusedLater(title: string, key: string): boolean {
  return (
    (key === 'provider' && title.startsWith('herald:credentials')) || (key === 'root' && title.includes('filesystem'))
  )
}
