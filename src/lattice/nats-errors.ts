import { ErrorCode, NatsError } from 'nats'
import { HeraldError } from '../errors/herald-error.ts'

/** Translates what the NATS client throws. `what`: what was tried, such as `request runtime.host.a.heartbeat`. */
export function fromNatsError(error: unknown, what: string): HeraldError {
  if (error instanceof HeraldError) return error
  const code = error instanceof NatsError ? error.code : undefined
  const reason = natsReason(error)
  if (error instanceof NatsError && error.api_error !== undefined) {
    return new HeraldError('ERR_LATTICE_STORAGE', `${what}: ${error.api_error.description.slice(0, 200)}`, {
      hint: 'check the limits and permissions of the JetStream account',
      cause: error,
    })
  }
  switch (code) {
    case ErrorCode.NoResponders:
      return new HeraldError('ERR_LATTICE_NO_RESPONDERS', `${what}: nobody listens`, {
        hint: 'check the name, and that the host is connected: herald get hosts',
        cause: error,
      })
    case ErrorCode.Timeout:
      return new HeraldError('ERR_LATTICE_TIMEOUT', `${what}: no answer in time`, {
        hint: 'it is unknown whether it arrived; ask for the status before trying again',
        cause: error,
      })
    case ErrorCode.MaxPayloadExceeded:
      return new HeraldError('ERR_LATTICE_PAYLOAD_TOO_LARGE', `${what}: larger than the server's max_payload`, {
        hint: 'raise max_payload of the NATS server, or send less',
        cause: error,
      })
    case ErrorCode.AuthorizationViolation:
    case ErrorCode.BadAuthentication:
    case ErrorCode.BadCreds:
    case ErrorCode.AuthenticationExpired:
    case ErrorCode.AuthenticationTimeout:
    case ErrorCode.AccountExpired:
    case ErrorCode.PermissionsViolation:
      return new HeraldError('ERR_LATTICE_UNAUTHORIZED', `${what}: ${reason}`, {
        hint: 'check the credentials, when they expire, and which subjects the user may use',
        cause: error,
      })
    case ErrorCode.ConnectionClosed:
    case ErrorCode.ConnectionDraining:
      return new HeraldError('ERR_LATTICE_CLOSED', `${what}: the connection has been closed`, { cause: error })
    default:
      return new HeraldError('ERR_LATTICE_UNREACHABLE', `${what}: ${reason}`, {
        hint: 'check the address of NATS and that it is up; the connection is tried again without end',
        cause: error,
      })
  }
}

/** The client's own words, on one line, for a log or a state. They hold no secret: the client never puts credentials in messages. */
export function natsReason(error: unknown): string {
  const deepest = error instanceof NatsError && error.chainedError ? error.chainedError : error
  const code = (deepest as { code?: unknown } | undefined)?.code
  const message = deepest instanceof Error && deepest.message !== '' ? deepest.message : String(code ?? deepest)
  return message.replace(/[\u0000-\u001f\u007f]+/g, ' ').slice(0, 200)
}
