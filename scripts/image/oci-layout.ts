import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createWriteStream, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'

export type Descriptor = {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly [key: string]: unknown
}

/** What the image says of itself: the `config` of the OCI image specification. */
export type ImageConfig = {
  readonly architecture: string
  readonly config: {
    readonly User: string
    readonly Env: readonly string[]
    readonly Entrypoint: readonly string[]
    readonly Cmd?: readonly string[]
    readonly WorkingDir: string
    readonly StopSignal: string
    readonly ExposedPorts: Readonly<Record<string, object>>
    readonly Labels: Readonly<Record<string, string>>
  }
}

export type WrittenImage = {
  readonly manifest: Descriptor
  /** Of all layers, as they are kept and sent. */
  readonly compressedBytes: number
  readonly uncompressedBytes: number
}

/**
 * Writes an OCI image layout with one manifest, named by `tag`. Each folder becomes a layer: entries sorted, owned by root, times at the
 * epoch, so that the same files give the same digest. OCI image specification 1.1.
 */
export async function writeOciLayout(
  directory: string,
  folders: readonly string[],
  { architecture, config }: ImageConfig,
  tag: string,
): Promise<WrittenImage> {
  const blobs = join(directory, 'blobs/sha256')
  mkdirSync(blobs, { recursive: true })
  const layers = await Promise.all(folders.map((folder, index) => writeLayer(folder, blobs, index)))
  const writeBlob = (mediaType: string, value: object): Descriptor => {
    const bytes = Buffer.from(JSON.stringify(value))
    const hex = createHash('sha256').update(bytes).digest('hex')
    writeFileSync(join(blobs, hex), bytes)
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length }
  }
  const created = new Date(0).toISOString()
  const configDescriptor = writeBlob('application/vnd.oci.image.config.v1+json', {
    created,
    architecture,
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: folders.map((folder) => ({ created, created_by: `herald scripts/image.ts: ${folder.split('/').at(-1)}` })),
  })
  const manifest = writeBlob('application/vnd.oci.image.manifest.v1+json', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: configDescriptor,
    layers: layers.map(({ descriptor }) => descriptor),
    annotations: config.Labels,
  })
  const named = {
    ...manifest,
    platform: { architecture, os: 'linux' },
    annotations: { 'org.opencontainers.image.ref.name': tag },
  }
  writeFileSync(
    join(directory, 'index.json'),
    JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [named] }),
  )
  writeFileSync(join(directory, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  return {
    manifest,
    compressedBytes: layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0),
    uncompressedBytes: layers.reduce((sum, { uncompressedBytes }) => sum + uncompressedBytes, 0),
  }
}

/** A blob of a layout. */
export function readLayoutBlob(directory: string, digest: string): Buffer {
  return readFileSync(join(directory, 'blobs', digest.replace(':', '/')))
}

async function writeLayer(
  folder: string,
  blobs: string,
  index: number,
): Promise<{ descriptor: Descriptor; diffId: string; uncompressedBytes: number }> {
  const unfinished = join(blobs, `unfinished-${index}`)
  const tar = spawn(
    'tar',
    [
      ...[
        '--create',
        '--directory',
        folder,
        '--sort=name',
        '--format=pax',
        '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime',
      ],
      ...['--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '.'],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const ended = new Promise<number | null>((resolve, reject) => tar.once('error', reject).once('close', resolve))
  const [plain, packed] = [createHash('sha256'), createHash('sha256')]
  let uncompressedBytes = 0
  await pipeline(
    tar.stdout,
    tap((chunk) => {
      plain.update(chunk)
      uncompressedBytes += chunk.length
    }),
    createGzip({ level: 6 }),
    tap((chunk) => packed.update(chunk)),
    createWriteStream(unfinished),
  )
  const exitCode = await ended
  if (exitCode !== 0) throw new Error(`tar of ${folder} failed with exit code ${exitCode}`)
  const hex = packed.digest('hex')
  renameSync(unfinished, join(blobs, hex))
  const descriptor = {
    mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
    digest: `sha256:${hex}`,
    size: statSync(join(blobs, hex)).size,
  }
  return { descriptor, diffId: `sha256:${plain.digest('hex')}`, uncompressedBytes }
}

function tap(see: (chunk: Buffer) => void): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      see(chunk)
      done(null, chunk)
    },
  })
}
