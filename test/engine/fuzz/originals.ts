import { readFile } from 'node:fs/promises'
import { buildComponents } from '../../../scripts/build-components.ts'
import { faultsComponent } from '../guests/build-guest.ts'
import { type Original, original } from './mutate.ts'

/** Real components to damage; `names` are those of components/. */
export async function fuzzOriginals(names: readonly string[]): Promise<Original[]> {
  const built = await buildComponents(names, { log: () => {}, skipWithoutTool: true })
  const files = await Promise.all([...built].map(async ([name, path]) => original(name, await readFile(path))))
  return [...files, original('faults', await faultsComponent())]
}
