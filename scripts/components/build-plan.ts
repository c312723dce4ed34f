import type { BuildOptions } from '../build-components.ts'
import { planC } from './build-c.ts'
import { planGo } from './build-go.ts'
import { planJavaScript } from './build-javascript.ts'
import { planPython } from './build-python.ts'
import { planRust } from './build-rust.ts'
import type { ComponentSource } from './catalog.ts'

/** How to build a component, and the hash of all that its bytes come from: sources, WIT, tools, how they are called. */
export type BuildPlan = { readonly inputs: string; build(): Promise<Uint8Array> }

/** @throws ToolMissing; what a registry gives (Python's and Rust's parts) is fetched here, once per machine. */
export function planBuild(
  root: string,
  source: ComponentSource,
  log: NonNullable<BuildOptions['log']>,
): Promise<BuildPlan> {
  switch (source.language) {
    case 'c':
      return planC(root, source.name)
    case 'javascript':
      return planJavaScript(root, source)
    case 'rust':
      return planRust(root, source.name, log)
    case 'go':
      return planGo(root, source.name)
    case 'python':
      return planPython(root, source.name, log)
  }
}
