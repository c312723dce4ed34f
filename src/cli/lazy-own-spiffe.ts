import type { Log } from '../observability/log.ts'
import type { CliEnvironment } from './environment.ts'
import type { NatsSvidOptions } from './nats-svid-options.ts'
import type { OwnSpiffe } from './own-spiffe.ts'

/** `openOwnSpiffe`, of which SPIRE's part is loaded only by commands that use it. */
export async function lazyOwnSpiffe(
  options: NatsSvidOptions,
  environment: CliEnvironment,
  log: Log,
): Promise<OwnSpiffe> {
  const { openOwnSpiffe } = await import('./own-spiffe.ts')
  return openOwnSpiffe(options, environment, log)
}
