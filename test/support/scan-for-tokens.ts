/** Something in a text that must not be there. It names the place and the kind, never the secret. */
export interface TokenFinding {
  /** Counted from 1. */
  readonly line: number
  readonly kind: 'JWT' | 'AWS secret access key' | 'AWS session token' | 'private key' | 'known secret'
}

const patterns: readonly { kind: TokenFinding['kind']; pattern: RegExp }[] = [
  { kind: 'JWT', pattern: /eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}/ },
  { kind: 'AWS secret access key', pattern: /secret_?-?(access_?-?)?key[^A-Za-z0-9]{1,12}[A-Za-z0-9/+]{16,}={0,2}/i },
  {
    kind: 'AWS session token',
    pattern: /(session_?-?token|x-amz-security-token)[^A-Za-z0-9]{1,12}[A-Za-z0-9/+_.%-]{32,}/i,
  },
  { kind: 'private key', pattern: /-----BEGIN [A-Z ]*PRIVATE KEY-----/ },
]
const standaloneSecret = /(?<![A-Za-z0-9/+=_-])[A-Za-z0-9+][A-Za-z0-9/+]{39}(?![A-Za-z0-9/+=_-])/g

/**
 * Every line of a log that holds what looks like a JWT (three base64url parts, the first from `eyJ`), an AWS secret (named as such, or
 * 40 random-looking characters standing alone), a private key, or one of the `known` secrets word for word. One finding per line and kind.
 */
export function scanForTokens(text: string, { known = [] }: { known?: readonly string[] } = {}): TokenFinding[] {
  return text
    .split('\n')
    .flatMap((content, index) => kindsIn(content, known).map((kind) => ({ line: index + 1, kind })))
}

function kindsIn(line: string, known: readonly string[]): TokenFinding['kind'][] {
  const kinds = new Set(patterns.filter(({ pattern }) => pattern.test(line)).map(({ kind }) => kind))
  if (line.match(standaloneSecret)?.some(looksRandom)) kinds.add('AWS secret access key')
  if (known.some((secret) => line.includes(secret))) kinds.add('known secret')
  return [...kinds]
}

/** Whether the characters are as varied as those of a random key: words, paths and hexadecimal digests are not. */
function looksRandom(text: string): boolean {
  if (!/[A-Z]/.test(text) || !/[a-z]/.test(text) || !/[0-9]/.test(text)) return false
  const counts = Map.groupBy(text, (character) => character)
  let bits = 0
  for (const { length } of counts.values()) bits -= (length / text.length) * Math.log2(length / text.length)
  return bits >= 4.4
}
