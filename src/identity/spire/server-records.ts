import { type ServiceError, status } from '@grpc/grpc-js'
import { HeraldError } from '../../errors/herald-error.ts'
import type { SpireAgent } from '../entry-diagnosis.ts'
import { formatRawId, type RawEntry, type RawId, type RegistrationEntry, readEntry } from '../registration-entry.ts'
import { openSpireChannel } from './spire-channel.ts'
import { explainUnreachable, fromSpireStatus } from './spire-status.ts'

/** What a SPIRE server holds. */
export type ServerRecords = {
  readonly trustDomain: string
  readonly entries: readonly RegistrationEntry[]
  readonly agents: readonly SpireAgent[]
}

/** More is no answer to show a person; the largest servers known have a tenth of it. */
const maxRecords = 1_000_000
const pageSize = 1_000

/**
 * All entries and agents of a server, by its own socket (`socket_path` of its `server` block).
 * @throws ERR_SPIRE_UNREACHABLE · ERR_SPIRE_WRONG_SOCKET · ERR_SPIRE_REQUEST_REFUSED
 */
export async function readServerRecords(
  socketPath: string,
  { signal }: { signal: AbortSignal },
): Promise<ServerRecords> {
  const open = (name: 'Bundle' | 'Entry' | 'Agent') => {
    const proto = name.toLowerCase()
    return openSpireChannel(socketPath, { proto: `${proto}.proto`, name: `spire.api.server.${proto}.v1.${name}` })
  }
  const [bundle, entry, agent] = [open('Bundle'), open('Entry'), open('Agent')]
  async function all<Key extends string, Raw>(
    channel: typeof entry,
    method: string,
    key: Key,
  ): Promise<readonly Raw[]> {
    const found: Raw[] = []
    for (let token = ''; found.length < maxRecords; ) {
      const request = { page_size: pageSize, page_token: token }
      type Page = Record<Key, readonly Raw[]> & { next_page_token: string }
      const page: Page = await channel.ask<Page>(method, request, { signal })
      found.push(...page[key])
      if (page.next_page_token === '') return found
      token = page.next_page_token
    }
    throw new HeraldError('ERR_SPIRE_REQUEST_REFUSED', `the SPIRE server has more than ${maxRecords} ${key}`)
  }
  try {
    const atOnce = { signal, waitForReady: false }
    const { trust_domain } = await bundle.ask<{ trust_domain: string }>('GetBundle', {}, atOnce)
    const entries = await all<'entries', RawEntry>(entry, 'ListEntries', 'entries')
    const agents = await all<'agents', RawAgent>(agent, 'ListAgents', 'agents')
    return { trustDomain: trust_domain, entries: entries.map(readEntry), agents: agents.map(readAgent) }
  } catch (cause) {
    if (cause instanceof HeraldError) throw cause
    const { code } = cause as ServiceError
    if (code === status.UNIMPLEMENTED) {
      throw new HeraldError('ERR_SPIRE_WRONG_SOCKET', `${socketPath} does not serve the SPIRE server's API`, {
        hint: "give the server's own socket (socket_path of its server block), not an agent's",
        cause,
      })
    }
    if (code === status.CANCELLED || code === status.UNAVAILABLE) throw await explainUnreachable(socketPath, 'server')
    throw fromSpireStatus(cause, socketPath)
  } finally {
    for (const channel of [bundle, entry, agent]) channel.close()
  }
}

type RawAgent = { id: RawId; selectors: { type: string; value: string }[]; banned: boolean }

function readAgent({ id, selectors, banned }: RawAgent): SpireAgent {
  return { spiffeId: formatRawId(id), selectors: selectors.map(({ type, value }) => `${type}:${value}`), banned }
}
