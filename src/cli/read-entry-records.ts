import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { systemClock } from '../clock/clock.ts'
import { HeraldError } from '../errors/herald-error.ts'
import { diagnoseEntries, usualParent } from '../identity/entry-diagnosis.ts'
import { parseEntries } from '../identity/registration-entry.ts'
import type { AgentInfo } from '../identity/spire/agent-info.ts'
import { readServerRecords } from '../identity/spire/server-records.ts'
import { socketPathOf } from '../identity/spire/spire-channel.ts'
import type { EntryRecords } from './entry-cause.ts'
import type { CliEnvironment } from './environment.ts'
import type { ExplainOptions } from './identity-explain-command.ts'

/**
 * The entries by the server's socket or from a file, judged for these selectors; undefined when neither was named.
 * @throws ERR_USAGE · ERR_SPIRE_UNREACHABLE · ERR_SPIRE_WRONG_SOCKET
 */
export async function readEntryRecords(
  stated: readonly string[],
  agent: AgentInfo | undefined,
  { entries: file, spireServerSocket }: ExplainOptions,
  environment: CliEnvironment,
): Promise<EntryRecords | undefined> {
  if (file !== undefined && spireServerSocket !== undefined) {
    throw new HeraldError('ERR_USAGE', '--entries and --spire-server-socket both say where entries come from', {
      hint: 'give one of them',
    })
  }
  const signal = AbortSignal.timeout(30_000)
  const server =
    spireServerSocket === undefined
      ? undefined
      : await readServerRecords(resolve(environment.cwd, socketPathOf(spireServerSocket)), { signal })
  if (server === undefined && file === undefined) return undefined
  const entries = server?.entries ?? parseEntries(await readEntries(file ?? '-', environment))
  const surroundings = { agents: server?.agents, agent, nowMs: systemClock.nowMs() }
  return {
    ...{ server, entries, agent: agent?.spiffeId },
    diagnosis: diagnoseEntries(entries, stated, surroundings),
    parent: usualParent(entries, surroundings),
  }
}

async function readEntries(file: string, { cwd }: CliEnvironment): Promise<string> {
  try {
    return file === '-' ? await text(process.stdin) : await readFile(resolve(cwd, file), 'utf8')
  } catch (cause) {
    throw new HeraldError('ERR_USAGE', 'the entries cannot be read', { where: { file }, cause })
  }
}
