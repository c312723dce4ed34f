import type { IoError } from '../io/io-error.ts'

/** `wasi:sockets/network#error-code`: thrown to the guest as it is. */
export type NetworkErrorCode =
  | 'unknown'
  | 'access-denied'
  | 'not-supported'
  | 'invalid-argument'
  | 'timeout'
  | 'concurrency-conflict'
  | 'not-in-progress'
  | 'would-block'
  | 'invalid-state'
  | 'new-socket-limit'
  | 'address-not-bindable'
  | 'address-in-use'
  | 'remote-unreachable'
  | 'connection-refused'
  | 'connection-reset'
  | 'connection-aborted'
  | 'datagram-too-large'
  | 'name-unresolvable'
  | 'temporary-resolver-failure'
  | 'permanent-resolver-failure'

const byErrno: Readonly<Record<string, NetworkErrorCode>> = {
  EACCES: 'access-denied',
  /** Of Node's permission model. */
  ERR_ACCESS_DENIED: 'access-denied',
  EPERM: 'access-denied',
  EINVAL: 'invalid-argument',
  ETIMEDOUT: 'timeout',
  EMFILE: 'new-socket-limit',
  ENFILE: 'new-socket-limit',
  EADDRNOTAVAIL: 'address-not-bindable',
  EADDRINUSE: 'address-in-use',
  EHOSTUNREACH: 'remote-unreachable',
  ENETUNREACH: 'remote-unreachable',
  ENETDOWN: 'remote-unreachable',
  ECONNREFUSED: 'connection-refused',
  ECONNRESET: 'connection-reset',
  EPIPE: 'connection-reset',
  ECONNABORTED: 'connection-aborted',
  EMSGSIZE: 'datagram-too-large',
  ENOTFOUND: 'name-unresolvable',
  ENODATA: 'name-unresolvable',
  EAI_AGAIN: 'temporary-resolver-failure',
}

/** What an error of node:net, node:dgram or the resolver is called in `wasi:sockets`. */
export function networkErrorOf(error: unknown): NetworkErrorCode {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return 'unknown'
  return byErrno[error.code] ?? 'unknown'
}

/** `wasi:sockets/network#network-error-code` (unstable in WASI 0.2). */
export function networkErrorCode(error: IoError): string | undefined {
  return error.codes.network
}
