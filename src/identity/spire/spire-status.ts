import { connect } from 'node:net'
import { type ServiceError, status } from '@grpc/grpc-js'
import { HeraldError } from '../../errors/herald-error.ts'
import type { SpiffeId } from '../../spiffe/spiffe-id.ts'

/** Whether an answer says "not now" rather than "no". */
export function isTransient({ code }: HeraldError): boolean {
  return code === 'ERR_SPIRE_UNREACHABLE' || code === 'ERR_SPIRE_ATTESTATION_FAILED'
}

/** SPIRE's text for "no entry": of the host itself and of the component alike. */
export function saysNoIdentityIssued(error: unknown): boolean {
  return isServiceError(error) && error.code === status.PERMISSION_DENIED && /no identity issued/i.test(error.details)
}

const socketHints = {
  'delegated identity': "give the agent's admin socket (admin_socket_path), not its Workload API socket",
  Workload: "give the agent's Workload API socket (socket_path), not its admin socket",
  entry: "give the server's own socket (socket_path of the server), not one of an agent",
} as const

/**
 * Translates a status of a call in which "no identity issued" can only mean the host (the streams).
 * The statuses were read from SPIRE 1.15's `delegatedidentity/v1/service.go`.
 */
export function fromSpireStatus(
  error: unknown,
  socketPath: string,
  api: 'delegated identity' | 'Workload' | 'entry' = 'delegated identity',
): HeraldError {
  if (!isServiceError(error))
    return new HeraldError('ERR_INTERNAL', 'a call to SPIRE failed unexpectedly', { cause: error })
  const details = error.details
  switch (error.code) {
    case status.PERMISSION_DENIED:
      return /authorized delegate/i.test(details) ? delegateUnauthorized([], error) : hostUnregistered(error)
    case status.UNIMPLEMENTED:
      return new HeraldError('ERR_SPIRE_WRONG_SOCKET', `${socketPath} does not serve SPIRE's ${api} API`, {
        hint: socketHints[api],
        cause: error,
      })
    case status.UNAVAILABLE:
      if (/attestation failed/i.test(details)) {
        return new HeraldError('ERR_SPIRE_ATTESTATION_FAILED', 'the SPIRE agent could not attest this process', {
          hint: "see the agent's log for the workload attestor that failed",
          cause: error,
        })
      }
      return unreachable(socketPath, details, error)
    case status.CANCELLED:
    case status.DEADLINE_EXCEEDED:
      return unreachable(socketPath, details, error)
    default:
      return new HeraldError(
        'ERR_SPIRE_REQUEST_REFUSED',
        `SPIRE answered with status ${status[error.code] ?? error.code}: ${details.slice(0, 300)}`,
        { hint: "see the agent's log", cause: error },
      )
  }
}

export function noIdentityIssued(cause: unknown): HeraldError {
  return new HeraldError('ERR_SPIRE_NO_IDENTITY_ISSUED', 'no registration entry matches the component', {
    hint: "create an entry whose selectors are all among the component's, with the SPIFFE ID of this host as parent",
    cause,
  })
}

/** With the host's own SPIFFE IDs where they are known. */
export function delegateUnauthorized(hostSpiffeIds: readonly SpiffeId[], cause: unknown): HeraldError {
  const [id] = hostSpiffeIds
  return new HeraldError(
    'ERR_SPIRE_DELEGATE_UNAUTHORIZED',
    `${id ?? 'the SPIFFE ID of this host'} is not among the SPIRE agent's authorized delegates`,
    {
      hint: `add ${id === undefined ? 'it' : `"${id}"`} to authorized_delegates in the agent's configuration, and restart the agent`,
      cause,
    },
  )
}

function hostUnregistered(cause: unknown): HeraldError {
  return new HeraldError('ERR_SPIRE_HOST_UNREGISTERED', 'this host itself has no registration entry', {
    hint: "create an entry for the host process, with the agent's SPIFFE ID as parent, and list its SPIFFE ID in authorized_delegates",
    cause,
  })
}

type SpireProgram = 'agent' | 'server'

function unreachable(
  socketPath: string,
  details: string,
  cause: unknown,
  program: SpireProgram = 'agent',
): HeraldError {
  return new HeraldError('ERR_SPIRE_UNREACHABLE', `SPIRE does not answer on ${socketPath}: ${details.slice(0, 300)}`, {
    hint: hintForSocket(details, program),
    cause,
  })
}

/** Why a call that waited for the connection in vain had none, by trying the socket itself. */
export function explainUnreachable(socketPath: string, program: SpireProgram = 'agent'): Promise<HeraldError> {
  const path = socketPath.replace(/^unix:(\/\/)?/, '')
  return new Promise((resolve) => {
    const socket = connect(path)
    const end = (details: string): void => {
      socket.destroy()
      resolve(unreachable(socketPath, details, undefined, program))
    }
    socket.setTimeout(500, () => end('the socket takes no connection'))
    socket.once('connect', () => end('it takes connections but did not answer in time'))
    socket.once('error', (error) => end(error.message))
  })
}

function hintForSocket(details: string, program: SpireProgram): string {
  const socket = program === 'agent' ? 'admin socket' : 'socket'
  if (details.includes('ENOENT'))
    return `start the SPIRE ${program}, or mount the directory of its ${socket} (not the file)`
  if (details.includes('ECONNREFUSED')) return `the ${program} has ended and left its socket behind: start it`
  if (details.includes('EACCES'))
    return `run ${program === 'agent' ? 'the host' : 'the command'} with the user or group of the ${program}: the socket has mode 0770`
  return program === 'agent' ? "see the agent's log; it may not reach the SPIRE server" : "see the server's log"
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error
}
