import { fileURLToPath } from 'node:url'
import {
  Client,
  connectivityState,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceDefinition,
  type ServiceError,
} from '@grpc/grpc-js'
import { loadSync, type Options } from '@grpc/proto-loader'

export type StreamOptions = {
  readonly signal: AbortSignal
  /** Wait for the connection instead of failing at once without one. Default: false. */
  readonly waitForReady?: boolean
}

export type SpireService = {
  /** A file of proto/spire. */
  readonly proto: string
  /** With its package. */
  readonly name: string
  /** Sent with every call. */
  readonly metadata?: Readonly<Record<string, string>>
}

/** One connection to one service on a socket of a SPIRE agent; messages and statuses as they come. */
export interface SpireChannel {
  /** Waits for the connection unless told not to. @throws ServiceError */
  ask<Response>(
    method: string,
    request: object,
    options: { signal: AbortSignal; waitForReady?: boolean },
  ): Promise<Response>
  /** Ends when the signal aborts. @throws ServiceError */
  stream<Response>(method: string, request: object, options: StreamOptions): AsyncIterable<Response>
  /** Resolves when there is a connection, and in any case after `timeoutMs` or when the signal aborts. */
  waitForConnection(timeoutMs: number, options: { signal: AbortSignal }): Promise<void>
  close(): void
}

// Three levels up is the package's root from src/identity/spire as from dist/identity/spire.
const protoDirectory = fileURLToPath(new URL('../../../proto/spire/', import.meta.url))

const protoLoaderOptions: Options = {
  keepCase: true,
  longs: String,
  // Without it an empty repeated field is undefined, and an entry that is gone looks like no message.
  arrays: true,
  objects: true,
  defaults: true,
  includeDirs: [protoDirectory],
}

/** A socket's path, with or without `unix:` or `unix://` before it. */
export function socketPathOf(socket: string): string {
  return socket.replace(/^unix:(\/\/)?/, '')
}

export function openSpireChannel(socket: string, { proto, name, metadata: fields = {} }: SpireService): SpireChannel {
  const service = loadSync(proto, protoLoaderOptions)[name] as ServiceDefinition
  const client = new Client(`unix:${socketPathOf(socket)}`, credentials.createInsecure(), {
    // An agent that restarts is back within a second; grpc's own 1 s to 120 s would sleep through it.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2_000,
    'grpc.max_receive_message_length': 20 * 1024 * 1024,
    'grpc.max_send_message_length': 20 * 1024 * 1024,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
  })

  function metadata(waitForReady: boolean): Metadata {
    const made = new Metadata({ waitForReady })
    for (const [field, value] of Object.entries(fields)) made.set(field, value)
    return made
  }

  return {
    ask: <Response>(
      method: string,
      request: object,
      { signal, waitForReady = true }: { signal: AbortSignal; waitForReady?: boolean },
    ) =>
      new Promise<Response>((resolve, reject) => {
        const { path, requestSerialize, responseDeserialize } = service[method] as MethodDefinition<object, object>
        const call = client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          request,
          metadata(waitForReady),
          {},
          (error: ServiceError | null, response?: object) => {
            signal.removeEventListener('abort', cancel)
            if (error === null && response !== undefined) resolve(response as Response)
            else reject(error)
          },
        )
        const cancel = (): void => call.cancel()
        if (signal.aborted) cancel()
        else signal.addEventListener('abort', cancel)
      }),
    async *stream<Response>(method: string, request: object, { signal, waitForReady = false }: StreamOptions) {
      if (signal.aborted) return
      const { path, requestSerialize, responseDeserialize } = service[method] as MethodDefinition<object, object>
      const fieldsToSend = metadata(waitForReady)
      const call = client.makeServerStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        fieldsToSend,
        {},
      )
      const cancel = (): void => call.cancel()
      signal.addEventListener('abort', cancel)
      try {
        for await (const message of call) yield message as Response
      } catch (error) {
        if (!signal.aborted) throw error
      } finally {
        signal.removeEventListener('abort', cancel)
        call.cancel()
      }
    },
    waitForConnection: (timeoutMs, { signal }) =>
      new Promise((resolve) => {
        const channel = client.getChannel()
        const deadline = Date.now() + timeoutMs
        const end = (): void => {
          signal.removeEventListener('abort', end)
          resolve()
        }
        // Not client.waitForReady: told that the channel is being closed, it watches anew, with a timer that nothing ends.
        const look = (error?: Error): void => {
          const state =
            error === undefined && !signal.aborted ? channel.getConnectivityState(true) : connectivityState.READY
          if (state === connectivityState.READY) end()
          else channel.watchConnectivityState(state, deadline, look)
        }
        signal.addEventListener('abort', end)
        look()
      }),
    close: () => client.close(),
  }
}
