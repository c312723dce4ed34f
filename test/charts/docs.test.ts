import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { openHelmChart } from './helm-chart.ts'

const root = join(import.meta.dirname, '../..')

for (const profile of ['small', 'large']) {
  test(`the profile ${profile} is taken`, async () => {
    using chart = await openHelmChart('herald-platform')
    const values = parse(readFileSync(join(root, `charts/herald-platform/profiles/${profile}.yaml`), 'utf8'))
    const objects = await chart.template({ trustDomain: 'example.org', ...values })
    assert.equal(
      objects.some(({ kind, metadata }) => kind === 'PodDisruptionBudget' && metadata.name === 'rel-herald-host'),
      profile === 'large',
    )
  })
}

test('the links in the documentation lead somewhere', () => {
  for (const file of globSync(['docs/kubernetes/*.md', 'charts/**/README.md'], { cwd: root })) {
    const text = readFileSync(join(root, file), 'utf8')
    for (const [, target = ''] of text.matchAll(/\]\(([^)#:]+)\)/g)) {
      readFileSync(join(root, file, '..', target))
    }
  }
})
