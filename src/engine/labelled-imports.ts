import type { CellCapability } from '../capabilities/capability.ts'
import type { LabelledImport } from './engine.ts'

/** A capability that serves nothing but imports with labels: each gets the interface that it is, under its label. None: the capability as it is. */
export function underLabels(capability: CellCapability, labels: readonly LabelledImport[]): CellCapability {
  if (labels.length === 0) return capability
  const { requestSigner } = capability
  return {
    prepare(instance) {
      const imports = capability.prepare(instance)
      return Object.fromEntries(labels.map(({ label, interface: name }) => [label, imports[name] ?? {}]))
    },
    ...(requestSigner !== undefined && { requestSigner }),
  }
}
