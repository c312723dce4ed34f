import { HeraldError } from '../errors/herald-error.ts'
import type { HostInterface } from '../manifest/host-interface.ts'

/** The `config` of one `hostInterfaces` entry, read key by key. Every refusal names package, entry and key. */
export class EntrySettings {
  readonly entry: HostInterface
  readonly #where: string

  /** @param known all keys there are. @throws ERR_CAPABILITY_CONFIG for any other */
  constructor(entry: HostInterface, known: readonly string[]) {
    this.entry = entry
    const name = entry.name === undefined ? '' : ` named ${JSON.stringify(entry.name)}`
    this.#where = `hostInterfaces entry ${entry.namespace}:${entry.package}${name}`
    const unknown = Object.keys(entry.config).find((key) => !known.includes(key))
    if (unknown !== undefined) {
      throw this.refusal(
        `unknown key ${JSON.stringify(unknown.slice(0, 80))} in config`,
        `the keys are ${known.join(', ')}`,
      )
    }
  }

  text(key: string): string | undefined {
    return this.entry.config[key]
  }

  /** @throws ERR_CAPABILITY_CONFIG */
  matching(key: string, pattern: RegExp, expected: string): string | undefined {
    const value = this.text(key)
    if (value !== undefined && !pattern.test(value))
      throw this.refusal(`${key} cannot be used`, `expected is ${expected}`)
    return value
  }

  /** @throws ERR_CAPABILITY_CONFIG */
  oneOf<const T extends string>(key: string, values: readonly T[], fallback: T): T {
    const value = this.text(key) ?? fallback
    const known = values.find((each) => each === value)
    if (known === undefined) {
      throw this.refusal(`${key} is ${JSON.stringify(value.slice(0, 80))}`, `choose one of ${values.join(', ')}`)
    }
    return known
  }

  /** A whole number in the range. @throws ERR_CAPABILITY_CONFIG */
  integer(key: string, { min, max, fallback }: { min: number; max: number; fallback: number }): number {
    const text = this.text(key)
    if (text === undefined) return fallback
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= min && value <= max))
      throw this.refusal(`${key} cannot be used`, `give a whole number from ${min} to ${max}`)
    return value
  }

  /** Separated by commas or spaces; none alike. */
  list(key: string): readonly string[] {
    return [...new Set((this.text(key) ?? '').split(/[\s,]+/).filter((each) => each !== ''))]
  }

  refusal(what: string, hint: string, cause?: unknown): HeraldError {
    return new HeraldError('ERR_CAPABILITY_CONFIG', `${this.#where}: ${what}`, { hint, cause })
  }
}
