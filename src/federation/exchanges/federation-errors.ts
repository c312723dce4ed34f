import { HeraldError } from '../../errors/herald-error.ts'

type Options = { readonly hint?: string; readonly cause?: unknown }

/** The party answered and said no. `code` is its own. */
export function refused(party: string, code: string, message: string, options: Options = {}): HeraldError {
  const said = [scrub(code), scrub(message)].filter((part) => part !== '').join(': ')
  return new HeraldError(
    'ERR_FEDERATION_REFUSED',
    `${party} refused the identity: ${said || 'without a reason'}`,
    options,
  )
}

export function unavailable(party: string, why: string, options: Options = {}): HeraldError {
  return new HeraldError('ERR_FEDERATION_UNAVAILABLE', `${party} is not available: ${scrub(why)}`, options)
}

/** Not in the party's published format. `why` must be our own words or scrubbed. */
export function unusable(party: string, why: string): HeraldError {
  return new HeraldError('ERR_FEDERATION_ANSWER_INVALID', `the answer of ${party} cannot be used: ${why}`, {
    hint: 'See that the endpoint in the binding is the one that the party documents.',
  })
}

/**
 * Foreign text made fit for logs: one line, at most 300 characters, and no run that could be a token or key (a hostile or careless party may
 * echo what it was sent).
 */
export function scrub(text: string): string {
  return text
    .replaceAll(/[^\x20-\x7e]+/g, ' ')
    .replaceAll(/eyJ[\w-]*(\.[\w-]*)*/g, '[token]')
    .replaceAll(/[A-Za-z0-9+/_=-]{40,}/g, '[…]')
    .trim()
    .slice(0, 300)
}
