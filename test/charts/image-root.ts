import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ImageConfig } from '../../scripts/image/oci-layout.ts'
import { runProgram } from '../../scripts/servers/run-program.ts'
import { systemClock } from '../../src/clock/clock.ts'
import { createLog } from '../../src/observability/log.ts'
import { downloadBlob, downloadManifest } from '../../src/oci/download.ts'
import { isDigest } from '../../src/oci/oci-digest.ts'
import { parseOciReference } from '../../src/oci/oci-reference.ts'
import { createRegistryTransport } from '../../src/oci/registry-transport.ts'

/** A container image, unpacked. */
export type ImageRoot = {
  /** Its root file system; what is mounted into a container gets its mount points made here. */
  readonly path: string
  readonly config: ImageConfig['config']
  /** Of the manifest that the reference named. */
  readonly digest: string
}

type Descriptor = { readonly digest: string; readonly size: number }

/** Pulls an image of one platform from a registry, checks every digest, and unpacks its layers as `directory`. @throws ERR_OCI_… */
export async function pullImageRoot(reference: string, directory: string): Promise<ImageRoot> {
  const what = reference
  const signal = AbortSignal.timeout(120_000)
  const { registry, ...named } = parseOciReference(reference)
  const transport = createRegistryTransport({
    fetch: globalThis.fetch,
    clock: systemClock,
    log: createLog({ level: 'silent', destination: process.stderr }),
    random: Math.random,
    plainHttpRegistries: [],
    idleTimeoutMs: 30_000,
    maxAttempts: 3,
    maxRetryAfterMs: 1_000,
  })
  const session = transport.session(registry, `repository:${named.repository}:pull`, undefined)
  const manifest = await downloadManifest(session, named, { what, signal })
  const fetchBlob = async ({ digest, size }: Descriptor) => {
    if (!isDigest(digest)) throw new Error(`${digest} is no digest`)
    const blob = { digest, sizeBytes: size }
    return await downloadBlob(session, named.repository, blob, { what, signal, maxBytes: 512 * 2 ** 20 })
  }
  const { config, layers } = JSON.parse(Buffer.from(manifest.bytes).toString()) as {
    config: Descriptor
    layers: Descriptor[]
  }
  mkdirSync(directory, { recursive: true })
  for (const layer of layers) {
    const file = join(directory, '..', 'layer.tar.gz')
    writeFileSync(file, await fetchBlob(layer))
    const args = ['--extract', '--gzip', '--file', file, '--directory', directory, '--same-owner', '--same-permissions']
    const result = await runProgram('tar', args)
    if (result.exitCode !== 0) throw new Error(`a layer of ${reference} cannot be unpacked: ${result.output.trim()}`)
  }
  const described = JSON.parse(Buffer.from(await fetchBlob(config)).toString()) as ImageConfig
  return { path: directory, config: described.config, digest: manifest.digest }
}

export function readInImage({ path }: ImageRoot, file: string): string {
  return readFileSync(join(path, file), 'utf8')
}
