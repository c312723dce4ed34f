import { stripVTControlCharacters } from 'node:util'
import type { Style } from './output.ts'

export type Column<T> = {
  readonly title: string
  readonly cell: (row: T) => string
  /** Drawn after the width has been settled. */
  readonly paint?: (text: string, row: T) => string
  /** Only with `-o wide`. */
  readonly wide?: boolean
  /** Cut before the others where a row does not fit: what a name is needed for is not in it. */
  readonly elastic?: boolean
}

const gap = '  '
const narrowest = 6

/**
 * Columns by their content. On a terminal the widest ones, elastic ones first, are cut until a row fits, so that no row wraps; elsewhere
 * nothing is cut.
 * What comes from others cannot move the cursor: control characters are taken out.
 */
export function table<T>(
  rows: readonly T[],
  columns: readonly Column<T>[],
  { style, wide = false }: { style: Style; wide?: boolean },
): string {
  const shown = columns.filter((column) => wide || column.wide !== true)
  const cells = rows.map((row) => shown.map(({ cell }) => clean(cell(row))))
  const widths = shown.map(({ title }, at) => Math.max(title.length, ...cells.map((row) => row[at]?.length ?? 0)))
  if (style.width !== undefined) shrink(widths, shown, style.width - gap.length * (shown.length - 1))
  const line = (texts: readonly string[], paint: (text: string, at: number) => string): string =>
    texts
      .map((text, at) => {
        const width = widths[at] ?? 0
        const cut = text.length > width ? `${text.slice(0, Math.max(0, width - 1))}…` : text
        const padded = at === texts.length - 1 ? cut : cut.padEnd(width)
        return paint(padded, at)
      })
      .join(gap)
  const head = line(
    shown.map(({ title }) => title),
    (text) => style.tone(text, 'quiet'),
  )
  const body = cells.map((texts, index) =>
    line(texts, (text, at) => shown[at]?.paint?.(text, rows[index] as T) ?? text),
  )
  return `${[head, ...body].join('\n')}\n`
}

/** Takes from the widest column, one character at a time, until all fit: of the elastic ones as long as they have any to give. */
function shrink(widths: number[], columns: readonly { readonly elastic?: boolean }[], room: number): void {
  let over = widths.reduce((sum, width) => sum + width, 0) - room
  for (const all of [false, true]) {
    while (over > 0) {
      const given = widths.map((width, at) => (all || columns[at]?.elastic === true ? width : 0))
      const most = Math.max(...given)
      if (most <= narrowest) break
      const widest = given.indexOf(most)
      widths[widest] = most - 1
      over--
    }
  }
}

/** Text of others, on one line and without anything a terminal would obey. */
export function clean(text: string): string {
  return stripVTControlCharacters(text).replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
}

/** `3m`, `2h`, `5d`: how long ago, in the largest unit. */
export function ageOf(since: Date | undefined, now: Date): string {
  if (since === undefined) return ''
  const seconds = Math.max(0, Math.round((now.getTime() - since.getTime()) / 1_000))
  if (seconds < 120) return `${seconds}s`
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`
}
