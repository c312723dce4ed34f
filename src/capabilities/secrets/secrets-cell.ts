import type { CellCapability, CellChannel } from '../capability.ts'
import { GuestFailure } from '../guest-failure.ts'
import type { SecretAnswer, SecretsError } from './secret-answer.ts'

/** `wasmcloud:secrets/store#secret`. */
class Secret {
  readonly #value: Uint8Array

  constructor(value: Uint8Array) {
    this.#value = value
  }

  reveal(): { tag: 'string'; val: string } | { tag: 'bytes'; val: Uint8Array } {
    try {
      return { tag: 'string', val: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.#value) }
    } catch {
      return { tag: 'bytes', val: this.#value }
    }
  }

  [Symbol.dispose](): void {
    this.#value.fill(0)
  }
}

/** `wasmcloud:secrets` in the cell: what its own component has asked for, until it drops it. */
export function openCapability(_config: unknown, channel: CellChannel): CellCapability {
  return {
    prepare: ({ signal }) => ({
      'wasmcloud:secrets/store': {
        Secret,
        async get(key: string): Promise<Secret> {
          let answer: SecretAnswer
          try {
            answer = (await channel.request('get', key, { signal })) as SecretAnswer
          } catch (error) {
            signal.throwIfAborted()
            const busy: SecretsError = { tag: 'io', val: 'the host could not be asked: try again' }
            throw new GuestFailure(busy, { cause: error })
          }
          if ('error' in answer) throw new GuestFailure(answer.error)
          return new Secret(answer.value)
        },
      },
      'wasmcloud:secrets/reveal': { reveal: (secret: Secret) => secret.reveal() },
    }),
  }
}
