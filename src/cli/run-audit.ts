import { type AuditEvent, auditEvent, partsOfEvent } from '../control/herald-audit-event.ts'
import { isHeraldError } from '../errors/herald-error.ts'
import type { AuditSource } from './ask-audit.ts'
import type { AuditOptions } from './audit-command.ts'
import { createAuditLines } from './audit-lines.ts'
import { parseWorkloadName } from './deployed-workloads.ts'
import type { CliEnvironment } from './environment.ts'
import { type FleetHost, findHost, nameOf } from './lattice-client.ts'
import { withLattice } from './lattice-command.ts'
import { styleFor } from './output.ts'

export async function runAudit(
  workload: string | undefined,
  options: AuditOptions,
  environment: CliEnvironment,
): Promise<void> {
  const { stdout, stderr, noColor } = environment
  const wanted = workload === undefined ? undefined : parseWorkloadName(workload)
  await withLattice(options, environment, async (client, { signal }) => {
    const [{ hosts: all }, callouts] = await Promise.all([client.fleet(), client.callouts()])
    const known = [...all.map((host): AuditSource => ({ id: host.id, name: nameOf(host), kind: 'host' })), ...callouts]
    const sources = options.host === undefined ? known : sourcesNamed(options.host, all, callouts)
    const names = new Map(known.map(({ id, name }) => [id as string, name]))
    const lines = createAuditLines(styleFor(stdout, noColor), (id) => names.get(id) ?? id)
    const gaps = createGapFinder()
    const isWanted = (event: AuditEvent): boolean =>
      (options.host === undefined || sources.some(({ id }) => id === event.hostId)) &&
      (wanted === undefined ||
        (event.component?.namespace === wanted.namespace && isReplicaName(event.component.workload, wanted.name))) &&
      (options.kind === undefined || options.kind.some((kind) => isOfKind(event, kind))) &&
      (options.audience === undefined || options.audience.includes(event.audience))

    const print = (event: AuditEvent): void => {
      const { fresh, lost } = gaps.see(event)
      if (lost > 0) stderr.write(`${names.get(event.hostId) ?? event.hostId}: ${lost} events did not arrive here\n`)
      if (!fresh || !isWanted(event)) return
      stdout.write(
        options.output === 'json'
          ? `${JSON.stringify({ ...(auditEvent.encode(event) as object), host: names.get(event.hostId) })}\n`
          : lines.of(event),
      )
    }

    // What comes while the hosts are asked waits for what came before.
    let held: AuditEvent[] | undefined = []
    let invalid = 0
    await using _following = options.follow
      ? client.followAudit(
          (event) => (held === undefined ? print(event) : held.length < 10_000 && held.push(event)),
          (error) => {
            if (invalid++ === 0)
              stderr.write(
                `something on herald.audit.… is no audit event: ${isHeraldError(error) ? error.message : 'unreadable'}\n`,
              )
          },
        )
      : undefined
    if (!options.follow || options.since !== undefined) {
      const since = options.since === undefined ? undefined : new Date(Date.now() - options.since)
      const answers = await Promise.allSettled(sources.map((source) => client.recentAudit(source, since)))
      signal.throwIfAborted()
      for (const [index, answer] of answers.entries()) {
        const name = sources[index]?.name ?? ''
        if (answer.status === 'rejected')
          stderr.write(
            `${name} does not say what it remembers: ${isHeraldError(answer.reason) ? answer.reason.message : 'unreadable'}\n`,
          )
        else if (answer.value.truncated) stderr.write(`${name} remembers less: older events are in its log\n`)
      }
      const remembered = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value.events : []))
      for (const event of remembered.toSorted((a, b) => (a.at?.getTime() ?? 0) - (b.at?.getTime() ?? 0))) print(event)
    }
    for (const event of held) print(event)
    held = undefined
    if (!options.follow) return
    await client.settled()
    if (options.output !== 'json')
      stderr.write(
        `following ${sources.map(({ name }) => name).join(', ') || 'what hosts will come'}; Ctrl-C ends it\n`,
      )
    // A signal listener alone does not keep a process alive.
    const alive = setInterval(() => {}, 60_000)
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true })
      if (signal.aborted) resolve()
    })
    clearInterval(alive)
  })
}

/** A callout service by id or name, else a host. @throws ERR_HOST_NOT_FOUND */
function sourcesNamed(
  wanted: string,
  hosts: readonly FleetHost[],
  callouts: readonly AuditSource[],
): readonly AuditSource[] {
  const found = callouts.filter(({ id, name }) => id === wanted || name === wanted)
  if (found.length > 0) return found
  const host = findHost(hosts, wanted)
  return [{ id: host.id, name: nameOf(host), kind: 'host' }]
}

/** Replicas that a host was asked for by the operator have one name each, which begins with that of the deployment. */
function isReplicaName(name: string, wanted: string): boolean {
  return (
    name === wanted ||
    (name.startsWith(`${wanted}-`) && /^-[a-z0-9]{5,10}(?:-[a-z0-9]{5})?$/.test(name.slice(wanted.length)))
  )
}

function isOfKind(event: AuditEvent, wanted: string): boolean {
  const { area, kind } = partsOfEvent(event)
  return wanted === kind || wanted === area || wanted === `${area}.${kind}`
}

/** Tells what was seen already, and how many of a host's events between two that were seen have not come. */
function createGapFinder(): { see(event: AuditEvent): { readonly fresh: boolean; readonly lost: number } } {
  const last = new Map<string, number>()
  return {
    see({ hostId, run, sequence }) {
      const key = `${hostId} ${run}`
      const before = last.get(key)
      if (before !== undefined && sequence <= before) return { fresh: false, lost: 0 }
      // Strangers may name as many as they like.
      if (before === undefined && last.size >= 5_000) last.clear()
      last.set(key, sequence)
      return { fresh: true, lost: before === undefined ? 0 : sequence - before - 1 }
    },
  }
}
