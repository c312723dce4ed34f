import { formatRawId, type RawId } from '../registration-entry.ts'
import { openSpireChannel } from './spire-channel.ts'

/** Who an agent is. */
export type AgentInfo = {
  readonly spiffeId: string
  /** When it last took over what the server has. */
  readonly lastSync: Date | undefined
}

/** What an agent says of itself on its admin socket, at most 5 s old; undefined when it does not. Never throws. */
export async function askAgentInfo(
  adminSocketPath: string,
  { signal }: { signal: AbortSignal },
): Promise<AgentInfo | undefined> {
  const channel = openSpireChannel(adminSocketPath, { proto: 'debug.proto', name: 'spire.agent.debug.v1.Debug' })
  try {
    type Info = { svid_chain: readonly { id: RawId | null }[]; last_sync_success: string }
    const { svid_chain, last_sync_success } = await channel.ask<Info>('GetInfo', {}, { signal })
    const id = svid_chain[0]?.id
    if (!id) return undefined
    const syncedS = Number(last_sync_success)
    return { spiffeId: formatRawId(id), lastSync: syncedS > 0 ? new Date(syncedS * 1000) : undefined }
  } catch {
    return undefined
  } finally {
    channel.close()
  }
}
