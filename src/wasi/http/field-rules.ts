/**
 * Fields a guest may neither set nor see: they belong to the connection, which is the host's (RFC 9110 §7.6.1). The same list as
 * wasmtime's, so that a guest meets the same rules on both.
 */
const forbiddenNames: ReadonlySet<string> = new Set([
  'connection',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
])

/** @param lowerName the field's name in lower case */
export function isForbiddenField(lowerName: string): boolean {
  return forbiddenNames.has(lowerName)
}

/** Fields by which a message is framed or read; a recipient that took one from the trailers would take the message for another (RFC 9110 §6.5.1). */
const neverTrailers: ReadonlySet<string> = new Set([
  ...forbiddenNames,
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'te',
  'trailer',
])

/** What of these may be sent as trailers. */
export function permittedTrailers<Pair extends readonly [name: string, value: string]>(
  pairs: readonly Pair[],
): readonly Pair[] {
  return pairs.filter(([name]) => !neverTrailers.has(name.toLowerCase()))
}

const tokenCharacters = tableOf("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

function tableOf(characters: string): Uint8Array {
  const table = new Uint8Array(128)
  for (const character of characters) table[character.charCodeAt(0)] = 1
  return table
}

/** A token of RFC 9110 §5.6.2: what a field's name and a method may consist of. */
export function isToken(text: string): boolean {
  if (text.length === 0) return false
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code > 127 || tokenCharacters[code] === 0) return false
  }
  return true
}

/** A field value of RFC 9110 §5.5: no control character but tab, so no CR, LF or NUL. */
export function isFieldValue(bytes: Uint8Array): boolean {
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index] as number
    if ((byte < 0x20 && byte !== 0x09) || byte === 0x7f) return false
  }
  return true
}

/** The value of Content-Length, or undefined when it is no plain decimal number (RFC 9110 §8.6). */
export function parseContentLength(value: string): number | undefined {
  if (!/^\d{1,15}$/.test(value)) return undefined
  return Number(value)
}
