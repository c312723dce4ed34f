import { type AuditEvent, partsOfEvent } from '../control/herald-audit-event.ts'
import type { Style, Tone } from './output.ts'
import { clean } from './table.ts'

/** Lines of a table that has no end: the widths of its columns cannot wait for the last row. */
export interface AuditLines {
  /** With the head before the first one. */
  of(event: AuditEvent): string
}

const columns = [
  { title: 'TIME', width: 12 },
  { title: 'HOST', width: 12 },
  { title: 'EVENT', width: 21 },
  { title: 'COMPONENT', width: 30 },
  { title: 'ABOUT', width: 28 },
] as const

export function createAuditLines(style: Style, hostName: (hostId: string) => string): AuditLines {
  let headed = false
  const row = (cells: readonly string[], last: string, paint: (text: string, at: number) => string): string => {
    const texts = cells.map((text, at) => {
      const width = columns[at]?.width ?? 0
      // On a terminal a long name is cut, so that columns stand below each other; elsewhere nothing is.
      const cut = style.width !== undefined && text.length > width ? `${text.slice(0, width - 1)}…` : text
      return paint(cut.padEnd(width), at)
    })
    const before = columns.reduce((sum, { width }) => sum + width + 2, 0)
    const room = style.width === undefined ? Number.POSITIVE_INFINITY : Math.max(20, style.width - before)
    const end = last.length > room ? `${last.slice(0, room - 1)}…` : last
    return `${[...texts, end].join('  ').trimEnd()}\n`
  }
  return {
    of(event) {
      const head = headed
        ? ''
        : row(
            columns.map(({ title }) => title),
            'DETAILS',
            (text) => style.tone(text, 'quiet'),
          )
      headed = true
      const { area, kind } = partsOfEvent(event)
      const named = event.component === undefined ? '' : nameOf(event.component)
      const about = event.target || event.audience || event.binding
      const cells = [
        event.at?.toISOString().slice(11, 23) ?? '',
        hostName(event.hostId),
        `${area}.${kind}`,
        named,
        about,
      ]
      const tone = toneOf(kind)
      return (
        head + row(cells.map(clean), clean(detailsOf(event)), (text, at) => (at === 2 ? style.tone(text, tone) : text))
      )
    },
  }
}

function nameOf({ namespace, workload, component }: NonNullable<AuditEvent['component']>): string {
  return workload === component ? `${namespace}/${workload}` : `${namespace}/${workload}/${component}`
}

function toneOf(kind: string): Tone {
  if (kind === 'refused' || kind === 'unverified' || kind === 'rejected' || kind === 'unknown-binding') return 'bad'
  return kind === 'evicted' ? 'busy' : 'good'
}

function detailsOf(event: AuditEvent): string {
  const { count, code, reason, spiffeId, expiresAt, tokenId, provider, at, client } = event
  const leftS = expiresAt && at && Math.round((expiresAt.getTime() - at.getTime()) / 1_000)
  return [
    count > 1 && `×${count}`,
    code,
    reason,
    spiffeId,
    leftS !== undefined && `expires in ${leftS}s`,
    tokenId !== '' && `token ${tokenId}`,
    provider,
    client !== '' && `client ${client}`,
  ]
    .filter((part) => part !== false && part !== '')
    .join(' ')
}
