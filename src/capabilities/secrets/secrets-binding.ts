import { constants } from 'node:fs'
import { open, realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'
import type { ComponentFacts } from '../../identity/component-facts.ts'
import type { Log } from '../../observability/log.ts'
import type { CellBinding } from '../capability.ts'
import { cellModule } from '../cell-module.ts'
import type { SecretAnswer } from './secret-answer.ts'

export type SecretsEntry =
  | { readonly kind: 'values'; readonly values: ReadonlyMap<string, string> }
  /** `root`: a real path. `keys`: the names of files in it that may be read. */
  | { readonly kind: 'directory'; readonly root: string; readonly keys: ReadonlySet<string> }

export type SecretsBindingOptions = {
  readonly component: ComponentFacts
  readonly entries: readonly SecretsEntry[]
  readonly log: Log
}

/** As Kubernetes limits a Secret. */
const maxSecretBytes = 2 ** 20

/** One component's `wasmcloud:secrets` on the control thread. No value is kept here, and none is ever logged. */
export class SecretsBinding implements CellBinding {
  readonly cellModule = cellModule(import.meta.url, 'secrets-cell')
  readonly config = undefined
  readonly #options: SecretsBindingOptions
  #released = false

  constructor(options: SecretsBindingOptions) {
    this.#options = options
  }

  attach(): void {
    // Nothing is sent to the cells but answers.
  }

  async handle(method: string, payload: unknown): Promise<SecretAnswer> {
    if (method !== 'get') throw new TypeError('wasmcloud:secrets has no such method')
    const key = typeof payload === 'string' ? payload : ''
    if (this.#released) return { error: { tag: 'not-found' } }
    for (const entry of this.#options.entries) {
      if (entry.kind === 'values') {
        const value = entry.values.get(key)
        if (value === undefined) continue
        this.#audit(key, 'granted')
        return { value: Buffer.from(value, 'utf8') }
      }
      // The key is one of the manifest's own from here on, and no path can be made of it.
      if (!entry.keys.has(key)) continue
      return this.#fromFile(entry.root, key)
    }
    this.#audit(key, 'refused')
    return { error: { tag: 'not-found' } }
  }

  async #fromFile(root: string, key: string): Promise<SecretAnswer> {
    try {
      // Kubernetes mounts links that stay below the directory; those that lead out of it are not followed.
      const path = await realpath(join(root, key))
      if (!path.startsWith(root + sep))
        throw Object.assign(new Error('it leads out of its directory'), { code: 'EACCES' })
      await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
      const { size } = await file.stat()
      if (size > maxSecretBytes) throw Object.assign(new Error('it is too large'), { code: 'EFBIG' })
      const value = await file.readFile()
      this.#audit(key, 'granted')
      return { value }
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'ERR_INTERNAL'
      if (code === 'ENOENT') {
        this.#audit(key, 'refused')
        return { error: { tag: 'not-found' } }
      }
      this.#options.log.warn({ event: 'secrets.failed', ...this.#about(key), code }, 'a secret cannot be read')
      return { error: { tag: 'io', val: `the secret cannot be read: ask the host's operator (${code})` } }
    }
  }

  #audit(key: string, kind: 'granted' | 'refused'): void {
    this.#options.log.info({ event: `secrets.${kind}`, ...this.#about(key) }, `a secret was ${kind}`)
  }

  #about(key: string) {
    const { namespace, workloadName, componentName } = this.#options.component
    return { namespace, workload: workloadName, component: componentName, key: key.slice(0, 100).toWellFormed() }
  }

  release(): void {
    this.#released = true
  }
}
