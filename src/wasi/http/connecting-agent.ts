import { Agent, type AgentOptions, type ClientRequestArgs } from 'node:http'
import { isIP, type LookupFunction } from 'node:net'
import type { Duplex } from 'node:stream'

/** Keeps connections that somebody else makes, to the address that the request's own `lookup` finds and allows. */
export class ConnectingAgent extends Agent {
  readonly #connect: (address: string) => Promise<Duplex>

  constructor(connect: (address: string) => Promise<Duplex>, options: AgentOptions) {
    super(options)
    this.#connect = connect
  }

  override createConnection(
    { host, lookup }: ClientRequestArgs & { lookup?: LookupFunction },
    callback?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    const name = String(host)
    const done = callback as (error: Error | null, stream?: Duplex) => void
    const connect = (address: string): void => {
      this.#connect(address).then(
        (stream) => done(null, stream),
        (error: Error) => done(error),
      )
    }
    if (isIP(name) !== 0 || lookup === undefined) connect(name)
    else
      lookup(name, { all: false }, (error, address) => {
        if (error !== null) done(error)
        else connect(String(address))
      })
    return undefined
  }
}
