export type KeptMessage = { readonly subject: string; readonly payload: Uint8Array }

/** Bytes of payload and subject, and how long, ms: whoever asked has given up by then. */
const maxBytes = 1024 * 1024
const keepMs = 30_000

/** What is to be sent once the connection is back. The NATS client forgets at every attempt to connect what it had not sent. */
export class KeptMessages {
  #messages: (KeptMessage & { readonly atMs: number })[] = []
  #bytes = 0

  /** False when there is no room. */
  add(subject: string, payload: Uint8Array, nowMs: number): boolean {
    const size = sizeOf({ subject, payload })
    if (this.#bytes + size > maxBytes) this.#forgetOld(nowMs)
    if (this.#bytes + size > maxBytes) return false
    this.#messages.push({ subject, payload, atMs: nowMs })
    this.#bytes += size
    return true
  }

  /** All that are not too old, in their order; none are left. */
  take(nowMs: number): readonly KeptMessage[] {
    this.#forgetOld(nowMs)
    const taken = this.#messages
    this.#messages = []
    this.#bytes = 0
    return taken
  }

  #forgetOld(nowMs: number): void {
    const firstFresh = this.#messages.findIndex(({ atMs }) => atMs >= nowMs - keepMs)
    const old = this.#messages.splice(0, firstFresh === -1 ? this.#messages.length : firstFresh)
    for (const message of old) this.#bytes -= sizeOf(message)
  }
}

const sizeOf = ({ subject, payload }: KeptMessage): number => subject.length + payload.length
