/** Up to here a body is cheaper as text than as a buffer, between threads and on its way into a socket. */
export const shortBodyBytes = 16_384

/** One character for each byte. */
export function toLatin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}
