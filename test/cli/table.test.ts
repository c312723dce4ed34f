import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { styleFor } from '../../src/cli/output.ts'
import { ageOf, table } from '../../src/cli/table.ts'

type Row = { name: string; image: string }
const columns = [
  { title: 'NAME', cell: ({ name }: Row) => name },
  { title: 'IMAGE', cell: ({ image }: Row) => image },
]
const rows: Row[] = [
  { name: 'a', image: 'registry.example/team/hello:1@sha256:0123456789abcdef0123456789abcdef' },
  { name: 'a-longer-name', image: 'b' },
]
const stream = (isTTY: boolean, width = 80) => ({ write: () => true, isTTY, columns: width })

for (const width of [40, 60, 80, 120]) {
  test(`on a terminal of ${width} columns no row is longer`, () => {
    const text = table(rows, columns, { style: styleFor(stream(true, width), true) })
    for (const line of text.split('\n')) assert.ok(line.length <= width, line)
    assert.equal(text.includes('…'), width < 84)
  })
}

test('an elastic column gives way before a name does', () => {
  const elastic = columns.map((column) => ({ ...column, elastic: column.title === 'IMAGE' }))
  const text = table(rows, elastic, { style: styleFor(stream(true, 40), true) })
  assert.match(text, /^a-longer-name {2}b$/m)
  assert.match(text, /^a {14}registry\.example\/team\/he…$/m)
})

test('where there is no terminal nothing is cut and nothing coloured', () => {
  const text = table(rows, columns, { style: styleFor(stream(false), false) })
  assert.ok(text.includes(rows[0]?.image ?? 'x'))
  assert.equal(stripVTControlCharacters(text), text)
})

test('text of others cannot move the cursor or begin a new row', () => {
  const hostile = [{ name: '\u001b[2Jx\ny', image: '\u0007\u2028z' }]
  const text = table(hostile, columns, { style: styleFor(stream(false), false) })
  assert.equal(text, 'NAME  IMAGE\nx y    z\n')
})

test('an age is in its largest unit', () => {
  const now = new Date('2026-08-01T12:00:00Z')
  const ago = (seconds: number) => ageOf(new Date(now.getTime() - seconds * 1_000), now)
  assert.deepEqual([5, 119, 120, 7_199, 7_200, 200_000].map(ago), ['5s', '119s', '2m', '119m', '2h', '2d'])
})
