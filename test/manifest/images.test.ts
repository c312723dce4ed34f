import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { isHeraldError } from '../../src/errors/herald-error.ts'
import { parseImageReference } from '../../src/manifest/image-reference.ts'
import { createFileImageSource } from '../../src/manifest/image-source.ts'
import { loadManifest } from '../../src/manifest/load-manifest.ts'

const directory = await mkdtemp(join(tmpdir(), 'herald-images-'))
after(() => rm(directory, { recursive: true }))
const signal = new AbortController().signal
const digest = `sha256:${'0f'.repeat(32)}`

for (const [reference, expected] of [
  ['file://a.wasm', { kind: 'file', path: '/base/a.wasm' }],
  ['file://./build/a.wasm', { kind: 'file', path: '/base/build/a.wasm' }],
  ['file:///srv/a%20b.wasm', { kind: 'file', path: '/srv/a b.wasm' }],
  ['ghcr.io/o/hello:1', { kind: 'registry', registry: 'ghcr.io', repository: 'o/hello', tag: '1', digest: undefined }],
  [
    'ghcr.io/o/hello',
    { kind: 'registry', registry: 'ghcr.io', repository: 'o/hello', tag: 'latest', digest: undefined },
  ],
  [
    `localhost:5000/h@${digest}`,
    { kind: 'registry', registry: 'localhost:5000', repository: 'h', tag: undefined, digest },
  ],
  [`[::1]:5000/h:v@${digest}`, { kind: 'registry', registry: '[::1]:5000', repository: 'h', tag: 'v', digest }],
] as const) {
  test(`parseImageReference reads ${reference}`, () =>
    assert.deepEqual(parseImageReference(reference, '/base'), { reference, ...expected }))
}

for (const reference of [
  '',
  'hello',
  'hello:1',
  'o/hello:1',
  'file://',
  'file://%zz',
  'file://a%00',
  'oci://ghcr.io/o/hello:1',
  'https://ghcr.io/o/hello',
  'ghcr.io/O/hello',
  'ghcr.io/o/../hello',
  'ghcr.io//hello',
  'ghcr.io/o/hello:',
  'ghcr.io/o/hello@sha256:abc',
  `ghcr.io/o/hello@${digest}@${digest}`,
]) {
  test(`parseImageReference refuses ${JSON.stringify(reference)}`, () =>
    assert.throws(
      () => parseImageReference(reference, '/base'),
      (error) => isHeraldError(error, 'ERR_IMAGE_INVALID') && error.hint !== undefined,
    ))
}

test('a file image is its bytes and their digest', async () => {
  const path = join(directory, 'a.wasm')
  await writeFile(path, 'hello')
  const image = await createFileImageSource().fetch({ kind: 'file', reference: 'file://a.wasm', path }, { signal })
  assert.equal(Buffer.from(image.bytes).toString(), 'hello')
  assert.equal(image.digest, `sha256:${createHash('sha256').update('hello').digest('hex')}`)
})

test('a file image that is missing, a directory, a pipe without writer, or too large is refused and never waited for', async () => {
  const pipe = join(directory, 'pipe')
  execFileSync('mkfifo', [pipe])
  const large = join(directory, 'large.wasm')
  await writeFile(large, Buffer.alloc(11))
  const images = createFileImageSource({ maxBytes: 10 })
  for (const [path, code] of [
    [join(directory, 'none.wasm'), 'ERR_IMAGE_NOT_FOUND'],
    [directory, 'ERR_IMAGE_NOT_FOUND'],
    [pipe, 'ERR_IMAGE_NOT_FOUND'],
    [large, 'ERR_IMAGE_TOO_LARGE'],
  ] as const) {
    await assert.rejects(images.fetch({ kind: 'file', reference: `file://${path}`, path }, { signal }), { code })
  }
})

test('a registry image is refused, in words that say what to do', async () => {
  const image = parseImageReference('ghcr.io/o/hello:1', '/')
  await assert.rejects(createFileImageSource().fetch(image, { signal }), (error) => {
    return isHeraldError(error, 'ERR_IMAGE_PULL_UNSUPPORTED') && /file:\/\//.test(error.hint ?? '')
  })
})

test('loadManifest finds file images beside the manifest, wherever it is started', async () => {
  await writeFile(join(directory, 'api.wasm'), 'x')
  await writeFile(
    join(directory, 'workload.yaml'),
    'apiVersion: runtime.wasmcloud.dev/v1alpha1\nkind: Workload\nmetadata: {name: a}\nspec: {components: [{name: api, image: "file://api.wasm"}]}\n',
  )
  const { workloads } = await loadManifest('workload.yaml', { cwd: directory })
  assert.deepEqual(workloads[0]?.components[0]?.image, {
    kind: 'file',
    reference: 'file://api.wasm',
    path: join(directory, 'api.wasm'),
  })
})

test('a manifest that is missing, a directory, or no text is refused with its name', async () => {
  await writeFile(join(directory, 'binary.yaml'), Buffer.from([0xff, 0xfe, 0x00]))
  for (const [file, code] of [
    ['none.yaml', 'ERR_MANIFEST_NOT_FOUND'],
    ['.', 'ERR_MANIFEST_NOT_FOUND'],
    ['binary.yaml', 'ERR_MANIFEST_INVALID'],
  ] as const) {
    await assert.rejects(
      loadManifest(file, { cwd: directory }),
      (error) => isHeraldError(error, code) && error.where?.file === file,
    )
  }
})
