import { statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { HeraldError } from '../errors/herald-error.ts'
import { type Manifest, parseManifest } from './parse-manifest.ts'

/** Largest manifest read, bytes: Kubernetes' own limit for an object is 1.5 MiB. */
const maxManifestBytes = 4 * 1024 * 1024

/**
 * Reads and parses a manifest file; `file://` images are relative to its directory and must exist.
 * @throws ERR_MANIFEST_NOT_FOUND, ManifestError
 */
export async function loadManifest(file: string, { cwd }: { cwd: string }): Promise<Manifest> {
  const path = resolve(cwd, file)
  return parseManifest(await readText(path, file), {
    file,
    baseDirectory: dirname(path),
    isFile: (image) => statSync(image, { throwIfNoEntry: false })?.isFile() ?? false,
  })
}

async function readText(path: string, file: string): Promise<string> {
  try {
    await using handle = await open(path, 'r')
    const stat = await handle.stat()
    if (stat.size > maxManifestBytes) {
      throw new HeraldError('ERR_MANIFEST_INVALID', `more than ${maxManifestBytes} bytes`, {
        where: { file },
        hint: 'name a YAML manifest',
      })
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(await handle.readFile())
  } catch (cause) {
    if (cause instanceof HeraldError) throw cause
    if (cause instanceof TypeError) {
      throw new HeraldError('ERR_MANIFEST_INVALID', 'not UTF-8 text', {
        where: { file },
        hint: 'name a YAML manifest',
        cause,
      })
    }
    const code = (cause as NodeJS.ErrnoException).code
    throw new HeraldError('ERR_MANIFEST_NOT_FOUND', code === 'ENOENT' ? 'no such file' : `cannot be read: ${code}`, {
      where: { file },
      hint: 'check the path',
      cause,
    })
  }
}
