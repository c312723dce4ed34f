/** Thrown by {@link WasmReader} and the parsers on it: the bytes are not what the specification allows. */
export class WasmFormatError extends Error {
  override readonly name = 'WasmFormatError'
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Reads the primitives of WebAssembly's binary format. Never reads beyond its end: it throws {@link WasmFormatError}. */
export class WasmReader {
  readonly bytes: Uint8Array
  readonly end: number
  offset: number

  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    this.bytes = bytes
    this.offset = offset
    this.end = end
  }

  get atEnd(): boolean {
    return this.offset >= this.end
  }

  fail(what: string): never {
    throw new WasmFormatError(`${what} at byte ${this.offset}`)
  }

  byte(): number {
    if (this.offset >= this.end) this.fail('unexpected end')
    return this.bytes[this.offset++]!
  }

  /** Unsigned LEB128 of at most 32 bits. */
  u32(): number {
    let result = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte()
      if (shift === 28 && byte > 0x0f) this.fail('integer too large')
      result += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return result
    }
    return this.fail('integer too long')
  }

  /** Unsigned LEB128 of at most 64 bits. */
  u64(): bigint {
    let result = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.byte()
      result |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return result
    }
    return this.fail('integer too long')
  }

  /** Signed LEB128 of at most 33 bits: a value type of the component model (negative: a primitive). */
  s33(): number {
    let result = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte()
      result += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return byte & 0x40 ? result - 2 ** (shift + 7) : result
    }
    return this.fail('integer too long')
  }

  name(): string {
    const length = this.u32()
    const start = this.offset
    this.skip(length)
    try {
      return utf8.decode(this.bytes.subarray(start, start + length))
    } catch {
      return this.fail('a name is not UTF-8')
    }
  }

  skip(length: number): void {
    if (length > this.end - this.offset) this.fail('unexpected end')
    this.offset += length
  }

  /** A reader of the next `length` bytes; this one goes on behind them. */
  sub(length: number): WasmReader {
    const start = this.offset
    this.skip(length)
    return new WasmReader(this.bytes, start, start + length)
  }
}

/** Unsigned LEB128. */
export function encodeUnsigned(value: number | bigint): number[] {
  const out: number[] = []
  let rest = BigInt(value)
  do {
    const byte = Number(rest & 0x7fn)
    rest >>= 7n
    out.push(rest === 0n ? byte : byte | 0x80)
  } while (rest !== 0n)
  return out
}
