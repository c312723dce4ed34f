import type { HostInterface } from '../manifest/host-interface.ts'
import { EntrySettings } from './entry-settings.ts'

/**
 * The entries of one package by their `name`; the one without a name serves whatever has no entry of its own.
 * @throws ERR_CAPABILITY_CONFIG when two have the same name, or none
 */
export class NamedEntries<T> {
  readonly #byName = new Map<string | undefined, T>()

  constructor(entries: readonly HostInterface[], keys: readonly string[], parse: (settings: EntrySettings) => T) {
    for (const entry of entries) {
      const settings = new EntrySettings(entry, keys)
      if (this.#byName.has(entry.name)) {
        throw settings.refusal(
          entry.name === undefined ? 'two entries have no name' : 'two entries have this name',
          'give each a name of its own',
        )
      }
      this.#byName.set(entry.name, parse(settings))
    }
  }

  /** `named`: whether the entry is the one of that name, and not the one without. */
  find(name: string): { readonly value: T; readonly named: boolean } | undefined {
    const own = this.#byName.get(name)
    if (own !== undefined) return { value: own, named: true }
    const other = this.#byName.get(undefined)
    return other === undefined ? undefined : { value: other, named: false }
  }

  all(): readonly T[] {
    return [...this.#byName.values()]
  }
}
