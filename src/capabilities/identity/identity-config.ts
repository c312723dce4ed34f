import { HeraldError } from '../../errors/herald-error.ts'
import type { HostInterface } from '../../manifest/host-interface.ts'
import { parseSpiffeId, type SpiffeId } from '../../spiffe/spiffe-id.ts'

/** What a workload's `hostInterfaces` entry of `wasmcloud:identity` says. */
export type IdentityConfig = {
  /** The allow-list: at least one, no two alike. */
  readonly audiences: readonly string[]
  /** The one SPIFFE ID to accept when several entries match. */
  readonly spiffeId: SpiffeId | undefined
}

export const maxAudienceBytes = 2048
export const maxAudiences = 64

const example = 'audiences: "sts.amazonaws.com, spiffe://example.org/ledger"'

/** @throws ERR_IDENTITY_NOT_REQUESTED without an entry · ERR_IDENTITY_CONFIG_INVALID */
export function parseIdentityConfig(componentName: string, entries: readonly HostInterface[]): IdentityConfig {
  const [entry] = entries
  if (entry === undefined) {
    throw new HeraldError(
      'ERR_IDENTITY_NOT_REQUESTED',
      `the component ${JSON.stringify(componentName)} imports wasmcloud:identity, which its workload does not list`,
      { hint: `add to hostInterfaces: namespace wasmcloud, package identity, interfaces [store], config ${example}` },
    )
  }
  if (entries.length > 1) throw invalid('it is listed more than once in hostInterfaces', 'keep one entry')
  if (entry.version !== undefined && entry.version !== '0.0.1') {
    throw invalid(`version ${JSON.stringify(entry.version)} is not served`, 'ask for version 0.0.1')
  }
  for (const name of entry.interfaces) {
    if (name !== 'store') throw invalid(`there is no interface ${JSON.stringify(name)}`, 'list interfaces: [store]')
  }
  const { audiences, 'spiffe-id': spiffeId, ...unknown } = entry.config
  const [unknownKey] = Object.keys(unknown)
  if (unknownKey !== undefined) {
    throw invalid(`unknown key ${JSON.stringify(unknownKey)} in config`, 'the keys are audiences and spiffe-id')
  }
  return { audiences: parseAudiences(audiences), spiffeId: parseConfiguredId(spiffeId) }
}

function parseAudiences(text: string | undefined): readonly string[] {
  const audiences = [...new Set((text ?? '').split(/[\s,]+/).filter((audience) => audience !== ''))]
  if (audiences.length === 0) throw invalid('config has no audiences', `list those that are allowed, like ${example}`)
  if (audiences.length > maxAudiences) throw invalid(`config has more than ${maxAudiences} audiences`, 'list fewer')
  for (const audience of audiences) {
    if (!audience.isWellFormed() || /\p{Cc}/u.test(audience) || Buffer.byteLength(audience) > maxAudienceBytes) {
      throw invalid(
        `an audience in config is longer than ${maxAudienceBytes} bytes or no proper text: ${JSON.stringify(audience.slice(0, 80))}`,
        'correct it',
      )
    }
  }
  return audiences
}

function parseConfiguredId(text: string | undefined): SpiffeId | undefined {
  if (text === undefined) return undefined
  try {
    return parseSpiffeId(text)
  } catch (cause) {
    throw invalid(
      `spiffe-id in config: ${(cause as Error).message}`,
      'write it like spiffe://example.org/default/x',
      cause,
    )
  }
}

function invalid(what: string, hint: string, cause?: unknown): HeraldError {
  return new HeraldError('ERR_IDENTITY_CONFIG_INVALID', `wasmcloud:identity: ${what}`, { hint, cause })
}
