import { createHash } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** What transpiling a component gives; costs 20 ms to more than a second to make. */
export type Artifact = {
  readonly script: string
  readonly glue: { readonly slim: true } | { readonly slim: false; readonly reason: string }
  readonly modules: ReadonlyMap<string, Uint8Array>
}

type Header = {
  readonly key: string
  readonly glue: Artifact['glue']
  /** Lengths of what follows: the script, then each module. */
  readonly scriptBytes: number
  readonly modules: readonly { readonly name: string; readonly bytes: number }[]
}

const suffix = '.artifact'
const digestBytes = 32

/**
 * Transpiled components on disk, by a key that names their bytes and everything that shapes the output. Several hosts may share the
 * directory: entries appear by rename and are checked by digest when read; a damaged one is a miss. Whoever may write there can run code
 * in cells, so a directory that others own or may write to is not used. Least recently used entries go when it grows beyond `maxBytes`.
 */
export class ArtifactCache {
  readonly #directory: string
  readonly #maxBytes: number

  constructor(directory: string, { maxBytes = 1024 * 1024 * 1024 }: { maxBytes?: number } = {}) {
    this.#directory = directory
    this.#maxBytes = maxBytes
  }

  /** @returns the entry, or `undefined` when there is none that is whole */
  async read(key: string): Promise<Artifact | undefined> {
    if (!(await this.#trusted())) return undefined
    const file = this.#file(key)
    const content = await readFile(file).catch(() => undefined)
    if (content === undefined) return undefined
    const artifact = decode(key, content)
    if (artifact === undefined) await rm(file, { force: true })
    else await utimes(file, new Date(), new Date()).catch(() => {})
    return artifact
  }

  /** Best effort: a cache that cannot be written to is no error. */
  async write(key: string, artifact: Artifact): Promise<void> {
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 })
      if (!(await this.#trusted())) return
      const content = encode(key, artifact)
      if (content.byteLength > this.#maxBytes) return
      const file = this.#file(key)
      const temporary = `${file}.${process.pid}.${Math.random().toString(36).slice(2)}`
      await writeFile(temporary, content, { mode: 0o600 })
      await chmod(temporary, 0o600)
      await rename(temporary, file)
      await this.#trim()
    } catch {
      // Without it the next start takes longer.
    }
  }

  async #trusted(): Promise<boolean> {
    const found = await stat(this.#directory).catch(() => undefined)
    const isOurs = found !== undefined && (found.uid === process.getuid?.() || found.uid === 0)
    return found?.isDirectory() === true && isOurs && (found.mode & 0o022) === 0
  }

  async #trim(): Promise<void> {
    const names = await readdir(this.#directory)
    const found = await Promise.all(
      names.map(async (name) => {
        const file = join(this.#directory, name)
        const info = await stat(file).catch(() => undefined)
        return info?.isFile() === true ? { file, name, bytes: info.size, usedMs: info.mtimeMs } : undefined
      }),
    )
    const files = found.filter((each) => each !== undefined).sort((a, b) => a.usedMs - b.usedMs)
    let total = files.reduce((sum, { bytes }) => sum + bytes, 0)
    for (const { file, name, bytes, usedMs } of files) {
      // A temporary file that old belongs to a host that ended while it wrote.
      const abandoned = !name.endsWith(suffix) && name.includes(suffix) && Date.now() - usedMs > 3_600_000
      if (!abandoned && (total <= this.#maxBytes || !name.endsWith(suffix))) continue
      await rm(file, { force: true })
      total -= bytes
    }
  }

  #file(key: string): string {
    return join(this.#directory, `${createHash('sha256').update(key).digest('hex')}${suffix}`)
  }
}

function encode(key: string, { script, glue, modules }: Artifact): Buffer {
  const scriptBytes = Buffer.from(script)
  const list = [...modules]
  const header: Header = {
    key,
    glue,
    scriptBytes: scriptBytes.byteLength,
    modules: list.map(([name, { byteLength }]) => ({ name, bytes: byteLength })),
  }
  const head = Buffer.from(`${JSON.stringify(header)}\n`)
  const body = Buffer.concat([head, scriptBytes, ...list.map(([, bytes]) => bytes)])
  return Buffer.concat([createHash('sha256').update(body).digest(), body])
}

function decode(key: string, content: Buffer): Artifact | undefined {
  const body = content.subarray(digestBytes)
  if (!createHash('sha256').update(body).digest().equals(content.subarray(0, digestBytes))) return undefined
  const end = body.indexOf('\n')
  const header = JSON.parse(body.toString('utf8', 0, end)) as Header
  if (header.key !== key) return undefined
  let at = end + 1
  const take = (bytes: number) => {
    at += bytes
    return body.subarray(at - bytes, at)
  }
  const script = take(header.scriptBytes).toString('utf8')
  const modules = new Map(header.modules.map(({ name, bytes }) => [name, new Uint8Array(take(bytes))]))
  return { script, glue: header.glue, modules }
}
