/** One bucket in a backend. Keys are 1 to 1024 bytes of UTF-8, otherwise anything. All functions throw KeyvalueRefusal or ERR_…. */
export interface Bucket {
  get(key: string): Promise<Uint8Array | undefined>
  set(key: string, value: Uint8Array): Promise<void>
  delete(key: string): Promise<void>
  exists(key: string): Promise<boolean>
  /** @param cursor of the page before; `undefined` for the first */
  listKeys(cursor: bigint | undefined): Promise<KeyPage>
  /** Atomic. A key that is not there counts as 0. @throws KeyvalueRefusal for a value that is no counter, or a sum beyond its range */
  increment(key: string, delta: bigint): Promise<bigint>
  /** In the order of the keys. */
  getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]>
  setMany(pairs: readonly (readonly [key: string, value: Uint8Array])[]): Promise<void>
  deleteMany(keys: readonly string[]): Promise<void>
}

export type KeyPage = { readonly keys: readonly string[]; readonly cursor: bigint | undefined }

/** Buckets of one kind and configuration, open for one workload's binding. Disposal gives back what it holds. */
export interface BucketSource extends AsyncDisposable {
  /** @param name in the backend: letters, digits, - and _ */
  open(name: string): Promise<Bucket>
}

/** Keys in one page. */
export const pageSize = 1000

/** A page of all keys, for backends that can only list them all: the cursor counts keys in their order. */
export function pageOf(keys: readonly string[], cursor: bigint | undefined): KeyPage {
  const from = Number(cursor ?? 0n)
  const sorted = [...keys].sort()
  const end = from + pageSize
  return { keys: sorted.slice(from, end), cursor: end < sorted.length ? BigInt(end) : undefined }
}
