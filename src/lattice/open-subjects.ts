import type { Subject, SubjectPattern } from './subjects.ts'

/**
 * Subjects that come from outside whole: from a manifest, or from a guest. Nothing of NATS itself (`$…`, `_…`), of the host protocol
 * (`runtime.…`) or of Herald (`herald.…`) is among them.
 */
const reserved = /^(?:[$_]|(?:runtime|herald)(?:\.|$))/
const subjectTokens = /^[\x21-\x29\x2b-\x2d\x2f-\x3d\x3f-\x7e]+(?:\.[\x21-\x29\x2b-\x2d\x2f-\x3d\x3f-\x7e]+)*$/
const maxLength = 512

/** A subject without wildcards; `undefined` for what is none, or is reserved. */
export function parseOpenSubject(text: unknown): Subject | undefined {
  if (typeof text !== 'string' || text.length > maxLength || !subjectTokens.test(text) || reserved.test(text))
    return undefined
  return text as Subject
}

/** A subject that may have wildcards, but not as its first token: that would reach what is reserved. */
export function parseOpenPattern(text: string): SubjectPattern | undefined {
  const tokens = text.split('.')
  const plain = tokens.map((token, index) =>
    index > 0 && (token === '*' || (token === '>' && index === tokens.length - 1)) ? 'x' : token,
  )
  return parseOpenSubject(plain.join('.')) === undefined ? undefined : (text as SubjectPattern)
}

/** An inbox as NATS clients make them: where an answer goes. */
export function parseInbox(text: unknown): Subject | undefined {
  if (typeof text !== 'string' || text.length > maxLength || !text.startsWith('_INBOX.')) return undefined
  return subjectTokens.test(text) ? (text as Subject) : undefined
}

/** Whether a subject is one of the pattern's. */
export function matchesPattern(pattern: SubjectPattern, subject: Subject): boolean {
  const wanted = pattern.split('.')
  const tokens = subject.split('.')
  for (const [index, token] of wanted.entries()) {
    if (token === '>') return tokens.length > index
    if (tokens[index] === undefined || (token !== '*' && token !== tokens[index])) return false
  }
  return tokens.length === wanted.length
}
