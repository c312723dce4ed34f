import { isHeraldError } from '../../errors/herald-error.ts'
import type { ComponentFacts } from '../../identity/component-facts.ts'
import type { Log } from '../../observability/log.ts'
import type { CellBinding } from '../capability.ts'
import { cellModule } from '../cell-module.ts'
import { parseStoreName, storeInBackend } from '../store-name.ts'
import type { Bucket, BucketSource } from './bucket.ts'
import type { KeyvalueEntry } from './keyvalue-config.ts'
import { type KeyvalueAnswer, KeyvalueRefusal, keyvalueErrorOf, refuse } from './keyvalue-error.ts'

export type OpenEntry = { readonly entry: KeyvalueEntry; readonly source: BucketSource }

export type KeyvalueBindingOptions = {
  readonly component: ComponentFacts
  /** The entry that serves a bucket of this name. */
  readonly find: (name: string) => (OpenEntry & { readonly named: boolean }) | undefined
  readonly log: Log
  readonly onRelease: () => void
}

type OpenBucket = { readonly bucket: Bucket; readonly entry: KeyvalueEntry }

export const maxKeyBytes = 1024
export const maxBatch = 1000
const maxOpenBuckets = 256

/** One component's `wasi:keyvalue` on the control thread: what the guest says is checked here, whatever the cell let through. */
export class KeyvalueBinding implements CellBinding {
  readonly cellModule = cellModule(import.meta.url, 'keyvalue-cell')
  readonly config = undefined
  readonly #options: KeyvalueBindingOptions
  readonly #buckets: OpenBucket[] = []
  readonly #idOf = new Map<string, Promise<number>>()
  #released = false

  constructor(options: KeyvalueBindingOptions) {
    this.#options = options
  }

  attach(): void {
    // Nothing is sent to the cells but answers.
  }

  async handle(method: string, payload: unknown): Promise<KeyvalueAnswer> {
    try {
      return { ok: await this.#act(method, payload as readonly unknown[]) }
    } catch (error) {
      if (!(error instanceof KeyvalueRefusal)) this.#report(method, error)
      return { error: keyvalueErrorOf(error) }
    }
  }

  async #act(method: string, [id, first, second]: readonly unknown[]): Promise<unknown> {
    if (method === 'open') return this.#open(id)
    const { bucket, entry } = this.#bucket(id, method)
    switch (method) {
      case 'get':
        return bucket.get(toKey(first))
      case 'set':
        return bucket.set(toKey(first), toValue(second, entry))
      case 'delete':
        return bucket.delete(toKey(first))
      case 'exists':
        return bucket.exists(toKey(first))
      case 'listKeys':
        return bucket.listKeys(first as bigint | undefined)
      case 'increment':
        return bucket.increment(toKey(first), second as bigint)
      case 'getMany':
        return bucket.getMany(toList(first).map(toKey))
      case 'setMany': {
        const pairs = toList(first) as (readonly [unknown, unknown])[]
        return bucket.setMany(pairs.map(([key, value]) => [toKey(key), toValue(value, entry)] as const))
      }
      case 'deleteMany':
        return bucket.deleteMany(toList(first).map(toKey))
      default:
        throw new TypeError(`wasi:keyvalue has no method ${JSON.stringify(method.slice(0, 40))}`)
    }
  }

  /** The same number for the same name. */
  #open(identifier: unknown): Promise<number> {
    const name = parseStoreName(identifier)
    if (name === undefined || this.#released) throw new KeyvalueRefusal({ tag: 'no-such-store' })
    const known = this.#idOf.get(name)
    if (known !== undefined) return known
    if (this.#idOf.size >= maxOpenBuckets) throw refuse(`a component can open at most ${maxOpenBuckets} buckets`)
    const found = this.#options.find(name)
    if (found === undefined) throw new KeyvalueRefusal({ tag: 'no-such-store' })
    const { entry, source, named } = found
    // An entry with a name of its own and a bucket named by the manifest: the guest says the entry's name.
    const wanted = named && entry.scope.kind === 'named' ? parseStoreName('') : name
    const inBackend = wanted && storeInBackend(entry.scope, this.#options.component, wanted)
    if (inBackend === undefined) throw new KeyvalueRefusal({ tag: 'no-such-store' })
    const opening = source.open(inBackend).then((bucket) => this.#buckets.push({ bucket, entry }) - 1)
    this.#idOf.set(name, opening)
    opening.catch(() => this.#idOf.delete(name))
    return opening
  }

  #bucket(id: unknown, method: string): OpenBucket {
    const found = typeof id === 'number' ? this.#buckets[id] : undefined
    if (found === undefined || this.#released) throw new TypeError('wasi:keyvalue: no such bucket')
    const needed = method === 'increment' ? 'atomics' : method.endsWith('Many') ? 'batch' : 'store'
    if (!found.entry.interfaces.includes(needed)) throw new KeyvalueRefusal({ tag: 'access-denied' })
    return found
  }

  #report(method: string, error: unknown): void {
    const { namespace, workloadName, componentName } = this.#options.component
    const about = { namespace, workload: workloadName, component: componentName, method }
    if (isHeraldError(error)) {
      this.#options.log.warn(
        { event: 'keyvalue.failed', ...about, code: error.code, reason: error.message },
        'a keyvalue store failed',
      )
    } else this.#options.log.error({ event: 'keyvalue.failed', ...about, err: error }, 'a keyvalue store failed')
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.#buckets.length = 0
    this.#idOf.clear()
    this.#options.onRelease()
  }
}

function toKey(key: unknown): string {
  if (typeof key !== 'string') throw new TypeError('wasi:keyvalue: a key is a text')
  if (key.length === 0 || key.length > maxKeyBytes || Buffer.byteLength(key) > maxKeyBytes || key.includes('\0')) {
    throw refuse(`a key is 1 to ${maxKeyBytes} bytes long, without NUL`)
  }
  return key
}

function toValue(value: unknown, { maxValueBytes }: KeyvalueEntry): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new TypeError('wasi:keyvalue: a value is bytes')
  if (value.length > maxValueBytes) throw refuse(`a value is at most ${maxValueBytes} bytes long`)
  return value
}

function toList(list: unknown): readonly unknown[] {
  if (!Array.isArray(list)) throw new TypeError('wasi:keyvalue: a batch is a list')
  if (list.length > maxBatch) throw refuse(`a batch is at most ${maxBatch} keys`)
  return list
}
