import type { InstanceContext, RequestSigner } from '../capabilities/capability.ts'
import type { Tracer } from '../observability/tracer.ts'
import { cliOfComponent, stderr, stdin, stdout } from './cli.ts'
import { monotonicClock, timezone, wallClock } from './clocks.ts'
import { Descriptor, filesystemErrorCode } from './filesystem/descriptor.ts'
import { DirectoryEntryStream } from './filesystem/directory-entry-stream.ts'
import { openPreopens, preopensOfInstance } from './filesystem/preopens.ts'
import { HttpClient, type Refusal } from './http/http-client.ts'
import { httpOfInstance, httpRules } from './http/http-of-instance.ts'
import { startRequest } from './http/start-request.ts'
import { InstanceState } from './instance-state.ts'
import { InputStream } from './io/input-stream.ts'
import { instanceStreams } from './io/instance-streams.ts'
import { IoError } from './io/io-error.ts'
import { OutputStream } from './io/output-stream.ts'
import { Pollable, poll } from './io/pollable.ts'
import { LineLimiter, LineSink } from './line-output.ts'
import { AddressPolicy } from './network/address-policy.ts'
import { AllowedHosts } from './network/allowed-hosts.ts'
import { type ResolveName, resolveBySystem } from './network/guarded-lookup.ts'
import { insecure, insecureSeed, random } from './random.ts'
import { SocketPolicy } from './sockets/socket-policy.ts'
import { socketsOfInstance } from './sockets/sockets-of-instance.ts'
import type { Wasi, WasiInstance, WasiOptions } from './wasi.ts'

export type WasiDependencies = {
  /** Default: the operating system's resolver. */
  readonly resolve?: ResolveName
  /** One call per outgoing request or connection that policy refused; for the host's log and metrics, never for the guest. */
  readonly onRefusal?: (refusal: Refusal) => void
  /** Sign outgoing requests; the first that knows an origin does. Default: none. */
  readonly signers?: readonly RequestSigner[]
  /** One call per outgoing request that nobody signs, with the host that it goes to. */
  readonly onSent?: (host: string) => void
  /** Makes spans of outgoing requests that belong to a trace. Default: none are made. */
  readonly tracer?: Tracer | undefined
  /** Certificates that outgoing HTTPS trusts instead of the system's, PEM. */
  readonly ca?: string
}

/**
 * WASI 0.2 of one component, for jco's `instantiation` mode with JSPI. The functions of `wasiWaits` must be declared as
 * suspending imports; they return a promise only when they have to wait. Resource classes are shared by all instances.
 * @throws ERR_NETWORK_POLICY_INVALID, ERR_PREOPEN_INVALID
 */
export function createWasi(options: WasiOptions, dependencies: WasiDependencies = {}): Wasi {
  const rules = httpRules(options.maxBodyBytes)
  const network = {
    policy: new AddressPolicy(options.deniedAddresses, options.allowedHostLoopbackPorts),
    resolve: dependencies.resolve ?? resolveBySystem,
    onRefusal: dependencies.onRefusal ?? (() => {}),
  }
  const allowedHosts = new AllowedHosts(options.allowedHosts)
  const client = new HttpClient({
    ...network,
    allowedHosts,
    ca: dependencies.ca,
    signers: dependencies.signers ?? [],
    tracer: dependencies.tracer,
    onSent: dependencies.onSent ?? (() => {}),
  })
  const sockets = new SocketPolicy({ ...network, allowedIpNameLookups: options.allowedIpNameLookups })
  const preopens = openPreopens(options)
  const limiter = new LineLimiter(options.onOutput, () => performance.now())
  const shared: Record<string, object> = {
    'wasi:io/error': { Error: IoError },
    'wasi:io/streams': { InputStream, OutputStream },
    'wasi:clocks/wall-clock': wallClock,
    'wasi:clocks/timezone': timezone,
    'wasi:random/random': random,
    'wasi:random/insecure': insecure,
    'wasi:random/insecure-seed': insecureSeed,
    'wasi:filesystem/types': { Descriptor, DirectoryEntryStream, filesystemErrorCode },
    ...cliOfComponent(options),
  }

  return {
    instance(context: Partial<InstanceContext>): WasiInstance {
      const state = new InstanceState(context)
      const out = new LineSink(limiter, 'stdout')
      const err = new LineSink(limiter, 'stderr')
      return {
        imports: {
          ...shared,
          'wasi:io/poll': { Pollable, poll: (pollables: readonly Pollable[]) => poll(state, pollables) },
          'wasi:clocks/monotonic-clock': monotonicClock(state),
          'wasi:cli/stdin': stdin(state),
          'wasi:cli/stdout': stdout(state, out),
          'wasi:cli/stderr': stderr(state, err),
          'wasi:filesystem/preopens': preopensOfInstance(state, preopens),
          ...httpOfInstance(state, rules, client),
          ...socketsOfInstance(state, sockets),
        },
        streams: instanceStreams(state),
        get openCount() {
          return state.openCount
        },
        get trace() {
          return state.trace
        },
        callWithin(source) {
          state.incoming = undefined
          state.within = source
        },
        startRequest: (exchange) => startRequest(state, rules, exchange),
        end(reason) {
          state.end(reason)
          out.finish()
          err.finish()
        },
        [Symbol.dispose]() {
          this.end(new Error('the instance was discarded'))
        },
      }
    },
  }
}
