import { z } from 'zod'
import type { Lattice } from '../lattice/lattice.ts'
import { endConnectionSubject, serverConnections } from '../lattice/subjects.ts'
import type { Log } from '../observability/log.ts'
import { parseSpiffeId, type SpiffeId } from '../spiffe/spiffe-id.ts'
import type { NatsAuditSink } from './callout-audit.ts'

export type SessionEnderOptions = {
  /** In the system account, and permitted exactly this. Stays its owner's. */
  readonly system: Lattice
  /** Whose connections are to end. */
  readonly isGone: (spiffeId: SpiffeId) => boolean
  readonly audit: NatsAuditSink
  readonly log: Log
}

const pageSize = 1_024
/** Servers that answer late are asked again by the next call. */
const quietMs = 250
const timeoutMs = 5_000

const text = z.string().default('')
const answer = z.object({
  server: z.object({ id: z.string(), name: text }),
  data: z.object({
    total: z.int().nonnegative().default(0),
    connections: z
      .array(z.object({ cid: z.int().nonnegative(), authorized_user: text, name: text, ip: text }))
      .default([]),
  }),
})

const refused = z.object({ error: z.object({}) })

/**
 * Has the servers end connections that were let in as a SPIFFE ID that is gone, whichever service let them in, and whatever the client
 * wants. @throws ERR_LATTICE_… when the servers cannot be asked
 */
export async function endSessions({ system, isGone, audit, log }: SessionEnderOptions): Promise<void> {
  for (let offset = 0, more = true; more; offset += pageSize) {
    // By its name in the user JWT: the SPIFFE ID.
    const question = Buffer.from(JSON.stringify({ auth: true, limit: pageSize, offset }))
    const answers = await system.requestMany(serverConnections, question, { quietMs, timeoutMs })
    more = false
    for (const payload of answers) {
      const parsed = answer.safeParse(readJson(payload))
      if (!parsed.success) {
        log.warn({ event: 'callout.connections-unreadable' }, 'a NATS server tells its connections in another form')
        continue
      }
      const { server, data } = parsed.data
      more ||= data.total > offset + pageSize
      const subject = endConnectionSubject(server.id)
      for (const { cid, authorized_user, name, ip } of data.connections) {
        const spiffeId = spiffeIdOf(authorized_user)
        if (subject === undefined || spiffeId === undefined || !isGone(spiffeId)) continue
        // Without somebody who waits for the answer a server does nothing.
        const told = await system.request(subject, Buffer.from(JSON.stringify({ cid })), { timeoutMs })
        // Another service may have been faster.
        if (!refused.safeParse(readJson(told)).success)
          audit({ kind: 'ended', spiffeId, client: { host: ip, name: name.slice(0, 100) }, server: server.name })
      }
    }
  }
}

function readJson(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(payload))
  } catch {
    return undefined
  }
}

function spiffeIdOf(user: string): SpiffeId | undefined {
  try {
    return parseSpiffeId(user)
  } catch {
    return undefined
  }
}
