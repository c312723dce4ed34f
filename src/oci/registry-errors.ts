import type { ErrorCode } from '../errors/error-codes.ts'
import { HeraldError } from '../errors/herald-error.ts'

const maxDetailBytes = 16_384

/**
 * Translates a registry's refusal (distribution specification, "Error Codes"). `what` says what was asked for, such as `ghcr.io/o/x:1`.
 * Reads a little of the body for the registry's own reason; never shows a header or a URL's query.
 */
export async function fromRegistryResponse(
  response: Response,
  { method, what }: { method: string; what: string },
): Promise<HeraldError> {
  const [code, message, hint] = translate(response.status, method)
  const detail = await registryReason(response)
  return new HeraldError(code, `${what}: ${message}${detail === '' ? '' : ` (${detail})`}`, { hint })
}

/** A token service's refusal of this process's SVID: RFC 6749 §5.2, of which only the code is shown. */
export async function refusedSvid(
  response: Response,
  { what, tokenService }: { what: string; tokenService: string },
): Promise<HeraldError> {
  const answer: unknown = await response.json().catch(() => undefined)
  const code = (answer as { error?: unknown } | null | undefined)?.error
  const shown = typeof code === 'string' && /^[a-z_]{1,40}$/.test(code) ? `, ${code}` : ''
  return new HeraldError(
    'ERR_OCI_UNAUTHORIZED',
    `${what}: the token service ${tokenService} refuses this host’s JWT-SVID (${response.status}${shown})`,
    { hint: 'compare audience, issuer and SPIFFE ID with what it accepts: --registry-identity' },
  )
}

function translate(status: number, method: string): [ErrorCode, string, string] {
  switch (status) {
    case 401:
      return [
        'ERR_OCI_UNAUTHORIZED',
        'the registry wants other credentials (401)',
        'check the imagePullSecret, or docker login on this host',
      ]
    case 403:
      return [
        'ERR_OCI_FORBIDDEN',
        'the registry does not allow this user to do that (403)',
        'ask for access to the repository, or use other credentials',
      ]
    case 404:
      return [
        'ERR_OCI_NOT_FOUND',
        'the registry has no such artifact (404)',
        'check the spelling of repository and tag; private repositories answer 404 to strangers',
      ]
    case 429:
      return [
        'ERR_OCI_RATE_LIMITED',
        'the registry asks to come back later (429)',
        'wait, use credentials with a higher limit, or configure a mirror',
      ]
    default:
      if (status < 500 && (method === 'PUT' || method === 'POST')) {
        return [
          'ERR_OCI_PUSH_REFUSED',
          `the registry does not accept it (${status})`,
          'read the registry’s reason; it may be read-only',
        ]
      }
      return status >= 500
        ? [
            'ERR_OCI_REGISTRY_FAILED',
            `the registry failed (${status})`,
            'try again; if it stays, look at the state of the registry',
          ]
        : [
            'ERR_OCI_REGISTRY_FAILED',
            `the registry answered ${status}, which the protocol does not foresee here`,
            'check that the host is a container registry',
          ]
  }
}

/** A failure below HTTP: no connection, a broken one, no certificate. */
export function fromFetchFailure(error: unknown, what: string): HeraldError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const reason = cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : String(cause)
  const certificate = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|TLS|SSL/.test(reason)
  return new HeraldError('ERR_OCI_UNREACHABLE', `${what}: the registry cannot be reached: ${reason.slice(0, 200)}`, {
    hint: certificate
      ? 'give the registry’s certificate authority to Node with NODE_EXTRA_CA_CERTS'
      : 'check the address, and that this machine may reach it',
    cause: error,
  })
}

async function registryReason(response: Response): Promise<string> {
  if (response.body === null) return ''
  try {
    let text = ''
    const decoder = new TextDecoder()
    for await (const chunk of response.body) {
      text += decoder.decode(chunk, { stream: true })
      if (text.length > maxDetailBytes) break
    }
    const parsed: unknown = JSON.parse(text)
    const errors = (parsed as { errors?: unknown }).errors
    if (!Array.isArray(errors)) return ''
    return errors
      .slice(0, 3)
      .map((error: { code?: unknown; message?: unknown }) =>
        [error.code, error.message].filter((part) => typeof part === 'string').join(': '),
      )
      .join('; ')
      .replace(/[\u0000-\u001f\u007f]/g, ' ')
      .slice(0, 300)
  } catch {
    return ''
  }
}
