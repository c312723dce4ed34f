/**
 * Keys as a backend can hold them. Bytes outside `A-Za-z0-9_-` and `plain` become `mark` and two hex digits, so that two keys never
 * become one and every key can be read back. Keys of ordinary characters stay as they are, for other programs that use the same store.
 */
export function encodeKey(key: string, mark: '=' | '%', plain: string): string {
  let out = ''
  for (const byte of Buffer.from(key, 'utf8')) {
    const character = String.fromCharCode(byte)
    out += /[\w-]/.test(character) || plain.includes(character) ? character : hex(byte, mark)
  }
  return out
}

export function decodeKey(encoded: string, mark: '=' | '%'): string {
  const bytes: number[] = []
  for (let at = 0; at < encoded.length; at++) {
    if (encoded[at] === mark && /^[0-9A-F]{2}$/.test(encoded.slice(at + 1, at + 3))) {
      bytes.push(Number.parseInt(encoded.slice(at + 1, at + 3), 16))
      at += 2
    } else bytes.push(...Buffer.from(encoded[at] ?? '', 'utf8'))
  }
  return Buffer.from(bytes).toString('utf8')
}

function hex(byte: number, mark: string): string {
  return `${mark}${byte.toString(16).toUpperCase().padStart(2, '0')}`
}

/** A key of NATS: dots stay where NATS takes them, so never first, last or two in a row. */
export function encodeNatsKey(key: string): string {
  if (/^[\w/-]+(?:\.[\w/-]+)*$/.test(key)) return key
  return encodeKey(key, '=', '/.').replace(/^\.|\.(?=\.)|\.$/g, '=2E')
}
