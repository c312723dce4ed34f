import { systemClock } from '../clock/clock.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import { checkToken } from '../federation/check-token.ts'
import { readPresentedToken } from '../federation/presented-token.ts'
import { readDiscovery } from '../federation/read-discovery.ts'
import { relyingParties } from '../federation/relying-party-table.ts'
import { formatSelector, type Selector, selectorsOf } from '../identity/selectors.ts'
import { askAgentInfo } from '../identity/spire/agent-info.ts'
import { createSpireAuthority } from '../identity/spire/spire-authority.ts'
import type { SvidAuthority } from '../identity/svid-authority.ts'
import { chooseJwtSvid } from '../identity/svid-choice.ts'
import { createFileImageSource } from '../manifest/image-source.ts'
import { createLog } from '../observability/log.ts'
import { parseJwtSvid } from '../spiffe/jwt-svid.ts'
import { parseSpiffeId } from '../spiffe/spiffe-id.ts'
import { askDevForToken } from './dev-tokens.ts'
import { agentCause, type EntryRecords, entryCause, issuedCause } from './entry-cause.ts'
import type { CliEnvironment } from './environment.ts'
import { type PartyToExplain, partiesToExplain } from './explained-parties.ts'
import {
  type Cause,
  describeExplanation,
  type Explanation,
  type IdentityOutcome,
  type PartyOutcome,
} from './explanation.ts'
import type { ExplainOptions } from './identity-explain-command.ts'
import { readEntryRecords } from './read-entry-records.ts'
import { findWorkloadSubject, type WorkloadSubject } from './workload-subject.ts'

/** For SPIRE; an agent that is there answers within milliseconds. */
const askMs = 3_000

export async function runIdentityExplain(
  file: string,
  options: ExplainOptions,
  environment: CliEnvironment,
): Promise<void> {
  const subject = await findWorkloadSubject(file, options.component, environment)
  const stated = await stateSelectors(subject, options)
  const selectors = stated.map(({ selector }) => selector)
  const parties = partiesToExplain(subject, { kind: options.for, audience: options.audience })

  const log = createLog({ level: 'silent' })
  const adminSocketPath = options.spireAdminSocket ?? environment.spireAdminSocket
  await using authority =
    adminSocketPath === undefined ? undefined : createSpireAuthority({ adminSocketPath, log, clock: systemClock })
  const agent =
    adminSocketPath === undefined
      ? undefined
      : await askAgentInfo(adminSocketPath, { signal: AbortSignal.timeout(askMs) })
  const records = await readEntryRecords(selectors.map(formatSelector), agent, options, environment)
  const ask = (party?: PartyToExplain) => askIdentity(subject, selectors, party, authority, environment)

  const asked = await ask(parties[0])
  const outcomes: PartyOutcome[] = []
  for (const party of parties) {
    const answer = party === parties[0] ? asked : await ask(party)
    outcomes.push(await judge(party, answer.token, options))
  }
  const { namespace, name } = subject.workload
  const explanation: Explanation = {
    component: { namespace, workload: name, name: subject.componentName, image: subject.unit.image.reference },
    selectors: stated.map(({ selector, from }) => ({ selector: formatSelector(selector), from })),
    agent,
    entries: records && {
      ...{ from: records.server ? ('server' as const) : ('file' as const), count: records.entries.length },
      ...records.diagnosis,
    },
    identity: asked.outcome,
    parties: outcomes,
    cause: causeOf(subject, asked.outcome, records, outcomes, parties[0]),
  }
  environment.stdout.write(
    options.output === 'json' ? `${JSON.stringify(explanation)}\n` : describeExplanation(explanation),
  )
  const { cause, identity } = explanation
  if (cause === undefined) return
  const away = identity.kind === 'refused' && identity.exitCode === 4
  const code = away ? 'ERR_SPIRE_UNREACHABLE' : cause.name === 'nobody-asked' ? 'ERR_USAGE' : 'ERR_FEDERATION_REFUSED'
  throw new HeraldError(code, `${cause.name}: ${cause.detail}`, { hint: cause.mend })
}

type Stated = { readonly selector: Selector; readonly from: string }

async function stateSelectors(subject: WorkloadSubject, options: ExplainOptions): Promise<readonly Stated[]> {
  const { image } = subject.unit
  const signal = AbortSignal.timeout(askMs)
  const digest =
    image.kind === 'registry' ? image.digest : (await createFileImageSource().fetch(image, { signal })).digest
  const selectors = selectorsOf({
    lattice: options.lattice,
    namespace: subject.workload.namespace,
    workloadName: subject.workload.name,
    workloadId: 'explain',
    componentName: subject.componentName,
    image: image.reference,
    imageDigest: digest ?? `sha256:${'0'.repeat(64)}`,
    environment: options.environment,
    hostLabels: options.label ?? {},
  })
  const sources: Readonly<Record<string, string>> = {
    component: `${subject.file}: ${subject.namedAt}`,
    namespace: `${subject.file}: metadata.namespace`,
    workload: `${subject.file}: metadata.name`,
    image: `${subject.file}: image`,
    'image-digest': image.kind === 'file' ? 'the bytes of the file' : `${subject.file}: image`,
    lattice: '--lattice, as herald host has it',
    environment: '--environment, as herald host has it',
    'host-label': '--label, as herald host has it',
  }
  return (
    selectors
      // A tag says nothing of the bytes before they are pulled.
      .filter(({ value }) => digest !== undefined || !value.startsWith('image-digest:'))
      .map((selector) => ({ selector, from: sources[selector.value.split(':', 1)[0] ?? ''] ?? 'the host' }))
  )
}

type Answer = { readonly outcome: IdentityOutcome; readonly token: string | undefined }

async function askIdentity(
  subject: WorkloadSubject,
  selectors: readonly Selector[],
  party: PartyToExplain | undefined,
  authority: SvidAuthority | undefined,
  { runtimeDirectory }: CliEnvironment,
): Promise<Answer> {
  // Any audience shows which identity there is.
  const audience = party?.audience ?? 'herald'
  const spiffeId = party === undefined ? subject.spiffeId : party.spiffeId
  try {
    if (authority === undefined) {
      const request = { component: subject.componentName, audiences: [audience] }
      const answer = await askDevForToken(request, { directory: runtimeDirectory })
      if (answer === undefined) {
        const reason = 'no SPIRE admin socket was named and no herald dev of this user runs'
        return { outcome: { kind: 'not-asked', reason }, token: undefined }
      }
      const issued = parseJwtSvid(answer.token).spiffeId
      return {
        outcome: { kind: 'issued', by: 'herald dev', spiffeId: issued, candidates: [issued] },
        token: answer.token,
      }
    }
    const signal = AbortSignal.timeout(askMs)
    const issued = await authority.fetchJwtSvids({ selectors, audiences: [audience] }, { signal })
    const configured = spiffeId === undefined ? undefined : parseSpiffeId(spiffeId)
    const svid = chooseJwtSvid(issued, configured)
    const candidates = [...new Set(issued.map(({ token }) => parseJwtSvid(token).spiffeId))].sort()
    return {
      outcome: { kind: 'issued', by: 'SPIRE', spiffeId: svid.spiffeId, candidates },
      token: svid.reveal(),
    }
  } catch (error) {
    if (!isHeraldError(error)) throw error
    const { code, exitCode, message, hint } = error
    return { outcome: { kind: 'refused', code, exitCode, message, mend: hint ?? '' }, token: undefined }
  }
}

async function judge(
  { kind, audience, because, listed }: PartyToExplain,
  token: string | undefined,
  options: ExplainOptions,
): Promise<PartyOutcome> {
  const party = relyingParties[kind]
  const about = { party: kind, title: party.title, audience, because }
  if (!listed) {
    const mend = `add it: hostInterfaces: [{namespace: wasmcloud, package: identity, interfaces: [store], config: {audiences: "${audience}"}}]`
    const detail = 'neither a binding of herald:credentials nor the audiences of wasmcloud:identity have it'
    return {
      ...about,
      verdict: 'refused',
      findings: [{ cause: 'audience-not-listed', severity: 'refuses', detail, mend }],
    }
  }
  if (token === undefined) return { ...about, verdict: 'unknown', findings: [] }
  const presented = readPresentedToken(token)
  const issuer = presented.claims.iss ?? options.issuer
  const published =
    party.keys === 'none' || issuer === undefined || !/^https?:/.test(issuer)
      ? undefined
      : await readDiscovery(issuer, { fetch, clock: systemClock, signal: AbortSignal.timeout(askMs) })
  const findings = checkToken({
    party,
    token: presented,
    expected: {
      audience,
      ...(options.issuer !== undefined && { issuer: options.issuer }),
      ...(options.subject !== undefined && { subject: options.subject }),
    },
    discovery: published?.facts ?? { kind: 'unread' },
    signatureValid: await published?.signatureValid(token),
    nowMs: systemClock.nowMs(),
  })
  const [first] = findings
  const verdict = first === undefined ? 'accepted' : first.severity === 'refuses' ? 'refused' : 'risky'
  return { ...about, verdict, findings }
}

/** One cause: an identity comes before whoever would be shown it. */
function causeOf(
  subject: WorkloadSubject,
  identity: IdentityOutcome,
  records: EntryRecords | undefined,
  parties: readonly PartyOutcome[],
  asked: PartyToExplain | undefined,
): Cause | undefined {
  const wanted = asked === undefined ? subject.spiffeId : asked.spiffeId
  const between = records && agentCause(records)
  if (identity.kind === 'refused') {
    if (identity.exitCode !== 4 && between !== undefined) return between
    if (identity.code === 'ERR_SPIRE_NO_IDENTITY_ISSUED') return entryCause(subject, records, wanted)
    return records?.server !== undefined && identity.code === 'ERR_SVID_SPIFFE_ID_NOT_ISSUED'
      ? entryCause(subject, records, wanted)
      : { name: identity.code, detail: identity.message, mend: identity.mend }
  }
  if (identity.kind === 'not-asked') {
    if (records === undefined) {
      const mend =
        'name the agent by --spire-admin-socket, give --spire-server-socket or --entries, or start herald dev'
      return { name: 'nobody-asked', detail: identity.reason, mend }
    }
    if (records.diagnosis.matching.every(({ obstacle }) => obstacle !== undefined))
      return entryCause(subject, records, wanted)
  }
  if (identity.kind === 'issued' && records !== undefined) {
    const against = between ?? issuedCause(subject, identity, records)
    if (against !== undefined) return against
  }
  const finding = parties.flatMap(({ findings }) => findings).find(({ severity }) => severity === 'refuses')
  return finding && { name: finding.cause, detail: finding.detail, mend: finding.mend }
}
