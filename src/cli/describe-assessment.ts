import type { ComponentDescription } from '../engine/engine.ts'
import type { AssessedImport, Assessment } from './assess-component.ts'

/** `herald inspect` for a person. */
export function describeAssessment(
  file: string,
  description: ComponentDescription,
  { imports, exports, refusals }: Assessment,
): string {
  const width = Math.max(0, ...imports.map(({ name }) => name.length), ...exports.map(({ name }) => name.length))
  const row = (name: string, text: string): string => `  ${name.padEnd(width)}  ${text}`.trimEnd()
  return `${[
    file,
    `  sha256  ${description.sha256}`,
    `  size    ${formatBytes(description.sizeBytes)}, ${description.coreModules} core modules, at least ${formatBytes(description.minimumMemoryBytes)} of memory`,
    ...(description.glue.slim ? [] : [`  slow    ${description.glue.reason}`]),
    'imports',
    ...(imports.length === 0 ? ['  none'] : imports.map((found) => row(found.name, howServed(found)))),
    'exports',
    ...(exports.length === 0
      ? ['  none']
      : exports.flatMap(({ name, startedBy, functions = [] }) => [
          row(name, startedBy === undefined ? '' : how[startedBy]),
          ...functions.map((each) => `    ${each}`),
        ])),
    refusals.length === 0 ? 'This host runs it.' : 'This host does not run it:',
    ...refusals.map((reason) => `  - ${reason}`),
  ].join('\n')}\n`
}

const how = { http: 'answers HTTP', run: 'runs to completion', call: 'called by other components' } as const

function howServed(found: AssessedImport): string {
  switch (found.served) {
    case 'wasi':
      return 'served'
    case 'capability':
      return `served to workloads that list it in hostInterfaces (${found.capability})`
    case 'types':
      return 'names of types'
    case 'component':
      return 'linked to another component of its workload that exports it, and refused without one'
    case false:
      return `REFUSED: ${found.reason}`
  }
}

function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  const [value, unit] = bytes < 2 ** 20 ? [bytes / 1024, 'KiB'] : [bytes / 2 ** 20, 'MiB']
  return `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`
}
