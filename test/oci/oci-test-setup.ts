import { systemClock } from '../../src/clock/clock.ts'
import { createLog } from '../../src/observability/log.ts'
import { createOciClient, type OciClient, type OciClientOptions } from '../../src/oci/oci-client.ts'
import { startLog } from '../support/log.ts'

/** The bytes of a component without content (its preamble, and a custom section that makes each one another). */
export function componentBytes(sizeBytes: number, seed = 1): Uint8Array {
  const bytes = Buffer.alloc(Math.max(sizeBytes, 16))
  let state = seed
  for (let at = 8; at < bytes.length; at++) {
    state = (state * 1_103_515_245 + 12_345) & 0x7fffffff
    bytes[at] = state >> 16
  }
  Buffer.from('0061736d0d000100', 'hex').copy(bytes)
  return bytes
}

/** A client with quick retries, and what it logged. */
export async function testClient(
  options: Partial<OciClientOptions> = {},
): Promise<OciClient & { events: () => { event: string; [key: string]: unknown }[] }> {
  const log = startLog('oci-client')
  // Pauses are a hundredth of what they are: what is tested is that there is one.
  const clock = {
    ...systemClock,
    sleep: (ms: number, sleepOptions?: { signal?: AbortSignal }) => systemClock.sleep(ms / 100, sleepOptions),
  }
  const client = await createOciClient({
    log: createLog({ level: 'debug', destination: { write: (line) => log.append(line) } }),
    clock,
    idleTimeoutMs: 2_000,
    ...options,
  })
  const events = () =>
    log
      .text()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))
  return Object.assign(client, { events })
}

export const signal = () => AbortSignal.timeout(20_000)
