import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { systemClock } from '../clock/clock.ts'
import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import { checkToken } from '../federation/check-token.ts'
import { readPresentedToken } from '../federation/presented-token.ts'
import { readDiscovery } from '../federation/read-discovery.ts'
import { matchEntries, parseEntries } from '../federation/registration-entries.ts'
import { relyingParties } from '../federation/relying-party-table.ts'
import { formatSelector, type Selector, selectorsOf } from '../identity/selectors.ts'
import { createSpireAuthority } from '../identity/spire/spire-authority.ts'
import type { SvidAuthority } from '../identity/svid-authority.ts'
import { chooseJwtSvid } from '../identity/svid-choice.ts'
import { createFileImageSource } from '../manifest/image-source.ts'
import { createLog } from '../observability/log.ts'
import { parseJwtSvid } from '../spiffe/jwt-svid.ts'
import { parseSpiffeId } from '../spiffe/spiffe-id.ts'
import { askDevForToken } from './dev-tokens.ts'
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
  const entries =
    options.entries === undefined
      ? undefined
      : matchEntries(parseEntries(await readEntries(options.entries, environment)), selectors.map(formatSelector))
  const parties = partiesToExplain(subject, { kind: options.for, audience: options.audience })

  const log = createLog({ level: 'silent' })
  const adminSocketPath = options.spireAdminSocket ?? environment.spireAdminSocket
  await using authority =
    adminSocketPath === undefined ? undefined : createSpireAuthority({ adminSocketPath, log, clock: systemClock })
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
    entries,
    identity: asked.outcome,
    parties: outcomes,
    cause: causeOf(subject, asked.outcome, entries, outcomes),
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

async function readEntries(file: string, { cwd }: CliEnvironment): Promise<string> {
  try {
    return file === '-' ? await text(process.stdin) : await readFile(resolve(cwd, file), 'utf8')
  } catch (cause) {
    throw new HeraldError('ERR_USAGE', 'the entries cannot be read', { where: { file }, cause })
  }
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
  entries: Explanation['entries'],
  parties: readonly PartyOutcome[],
): Cause | undefined {
  if (identity.kind === 'refused') {
    return identity.code === 'ERR_SPIRE_NO_IDENTITY_ISSUED'
      ? entryCause(subject, entries)
      : { name: identity.code, detail: identity.message, mend: identity.mend }
  }
  if (identity.kind === 'not-asked') {
    if (entries === undefined) {
      const mend = 'name the agent by --spire-admin-socket, give --entries, or start herald dev'
      return { name: 'nobody-asked', detail: identity.reason, mend }
    }
    if (entries.matching.length === 0) return entryCause(subject, entries)
  }
  const finding = parties.flatMap(({ findings }) => findings).find(({ severity }) => severity === 'refuses')
  return finding && { name: finding.cause, detail: finding.detail, mend: finding.mend }
}

function entryCause(subject: WorkloadSubject, entries: Explanation['entries']): Cause {
  const matching = entries?.matching[0]
  if (matching !== undefined) {
    return {
      name: 'entry-not-at-agent',
      detail: `entry ${matching.id} matches, but the agent does not have it (yet); its parent is ${matching.parentId}`,
      mend: 'wait for the next sync; if it stays so, give the entry the SPIFFE ID of this host as its parent',
    }
  }
  const near = entries?.near[0]
  if (near !== undefined) {
    return {
      name: 'entry-does-not-match',
      detail: `the nearest entry, of ${near.entry.spiffeId}, wants ${near.missing.join(' and ')}, which this host would not state`,
      mend: `spire-server entry delete -entryID ${near.entry.id}; ${createEntry(subject)}`,
    }
  }
  return { name: 'no-entry', detail: 'no registration entry matches the component', mend: createEntry(subject) }
}

function createEntry({ file, componentName, workload }: WorkloadSubject): string {
  const which = workload.components.length > 1 ? ` --component ${componentName}` : ''
  return `herald trust spire ${file}${which} --trust-domain TRUST-DOMAIN | sh`
}
