import { ByteSink } from './io/byte-sink.ts'
import { closed } from './io/io-error.ts'

const maxLineBytes = 16 * 1024
const linesPerSecond = 1_000

type OnLine = (stream: 'stdout' | 'stderr', text: string) => void

/** Turns lines into log records, at most {@link linesPerSecond}; how many were suppressed is told once there is room again. */
export class LineLimiter {
  readonly #onLine: OnLine
  readonly #nowMs: () => number
  #windowStart = 0
  #inWindow = 0
  #suppressed = 0

  /** @param nowMs milliseconds of any steady clock */
  constructor(onLine: OnLine, nowMs: () => number) {
    this.#onLine = onLine
    this.#nowMs = nowMs
  }

  line(stream: 'stdout' | 'stderr', text: string): void {
    const now = this.#nowMs()
    if (now - this.#windowStart >= 1000) {
      this.#windowStart = now
      this.#inWindow = 0
      if (this.#suppressed > 0) {
        this.#onLine('stderr', `(${this.#suppressed} lines suppressed: more than ${linesPerSecond} in a second)`)
        this.#suppressed = 0
      }
    }
    if (++this.#inWindow > linesPerSecond) this.#suppressed++
    else this.#onLine(stream, text)
  }
}

/**
 * One instance's standard output or error: UTF-8 (bad bytes replaced) cut into lines; a line longer than 16 KiB is cut there and goes on
 * in the next. Control characters other than tab are shown as U+FFFD, so that a guest cannot steer a terminal.
 */
export class LineSink extends ByteSink {
  readonly #limiter: LineLimiter
  readonly #stream: 'stdout' | 'stderr'
  #pending: Uint8Array[] = []
  #pendingBytes = 0
  #closed = false

  constructor(limiter: LineLimiter, stream: 'stdout' | 'stderr') {
    super()
    this.#limiter = limiter
    this.#stream = stream
  }

  override ready(): boolean {
    return true
  }

  override capacity(): number {
    if (this.#closed) throw closed
    return 1 << 16
  }

  override write(bytes: Uint8Array): void {
    let start = 0
    while (start < bytes.length) {
      const newline = bytes.indexOf(0x0a, start)
      const end = newline === -1 ? bytes.length : newline
      const room = maxLineBytes - this.#pendingBytes
      if (end - start > room) {
        this.#push(bytes.subarray(start, start + room))
        this.#emit()
        start += room
        continue
      }
      this.#push(bytes.subarray(start, end))
      if (newline === -1) return
      this.#emit()
      start = newline + 1
    }
  }

  override flushed(): boolean {
    if (this.#closed) throw closed
    return true
  }

  /** What has no newline yet is a line all the same. */
  finish(): void {
    if (this.#pendingBytes > 0) this.#emit()
  }

  override close(): void {}

  #push(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#pending.push(bytes)
    this.#pendingBytes += bytes.length
  }

  #emit(): void {
    const text = Buffer.concat(this.#pending, this.#pendingBytes).toString('utf8')
    this.#pending = []
    this.#pendingBytes = 0
    this.#limiter.line(this.#stream, printable(text))
  }
}

function printable(text: string): string {
  const line = text.endsWith('\r') ? text.slice(0, -1) : text
  return line.replace(/[^\t\x20-\x7e\u00a0-\u{10ffff}]/gu, '\ufffd')
}
