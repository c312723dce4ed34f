const scratch = Buffer.alloc(16_384)

/**
 * One character for each byte. Short arrays of V8's live inside its heap until somebody asks for their `buffer`, which then costs an
 * allocation outside of it and work for the collector; so they are copied once more instead (0.07 instead of 0.55 µs).
 */
export function latin1(bytes: Uint8Array): string {
  if (bytes.length > scratch.length) {
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  }
  scratch.set(bytes)
  return scratch.toString('latin1', 0, bytes.length)
}
