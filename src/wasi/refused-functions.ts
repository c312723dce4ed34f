/**
 * Functions of WASI 0.2 that are there and always answer with an error code, with that code and the reason. Everything else in
 * `docs/wasi.md` does what its interface says.
 */
export const refusedFunctions: Readonly<Record<string, { readonly error: string; readonly reason: string }>> = {
  'wasi:http/types#[method]response-outparam.send-informational': {
    error: 'internal-error',
    reason: 'an exchange carries one final head',
  },
  'wasi:sockets/tcp#[method]tcp-socket.start-listen': {
    error: 'access-denied',
    reason: 'guests are reached over HTTP only',
  },
  'wasi:sockets/tcp#[method]tcp-socket.finish-listen': { error: 'not-in-progress', reason: 'no socket listens' },
  'wasi:sockets/tcp#[method]tcp-socket.accept': { error: 'invalid-state', reason: 'no socket listens' },
  'wasi:sockets/tcp#[method]tcp-socket.set-listen-backlog-size': {
    error: 'not-supported',
    reason: 'no socket listens',
  },
  ...Object.fromEntries(
    [
      'keep-alive-interval',
      'set-keep-alive-interval',
      'keep-alive-count',
      'set-keep-alive-count',
      'hop-limit',
      'set-hop-limit',
      'receive-buffer-size',
      'set-receive-buffer-size',
      'send-buffer-size',
      'set-send-buffer-size',
    ].map((name) => [
      `wasi:sockets/tcp#[method]tcp-socket.${name}`,
      { error: 'not-supported', reason: 'node:net cannot do it' },
    ]),
  ),
  'wasi:sockets/udp#[method]udp-socket.unicast-hop-limit': {
    error: 'not-supported',
    reason: 'node:dgram can set it and not tell it',
  },
}
