import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import type { CliEnvironment } from '../../src/cli/environment.ts'
import type { Explanation } from '../../src/cli/explanation.ts'
import type { ExplainOptions } from '../../src/cli/identity-explain-command.ts'
import { runIdentityExplain } from '../../src/cli/run-identity-explain.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

/** `json` only where text was not asked for. */
export type Explained = { readonly text: string; readonly error: unknown; readonly json: Explanation }

/** `herald identity explain` in this process, on manifests in a folder of its own, which disposal removes. */
export interface Explainer extends Disposable {
  readonly directory: string
  /** Writes the manifest of a workload of one component, both of that name, in the namespace `shop`. @returns its file */
  manifest(name: string, hostInterfaces: string): string
  /** @throws what the command threw, if it printed nothing */
  explain(file: string, options?: Partial<ExplainOptions>): Promise<Explained>
}

/** An entry of wasmcloud:identity. `more`: further config, each with a comma before it. */
export const identityOf = (audiences: string, more = ''): string =>
  `{ namespace: wasmcloud, package: identity, version: 0.0.1, interfaces: [store], config: { audiences: "${audiences}"${more} } }`

export function openExplainer(usual: Partial<ExplainOptions>): Explainer {
  const directory = temporaryDirectory()
  writeFileSync(join(directory.path, 'x.wasm'), 'not run, only hashed')
  return {
    directory: directory.path,
    manifest(name, hostInterfaces) {
      const file = `${name}.yaml`
      writeFileSync(
        join(directory.path, file),
        `apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: Workload
metadata: { name: ${name}, namespace: shop }
spec:
  components: [{ name: ${name}, image: file://x.wasm }]
  hostInterfaces: [${hostInterfaces}]
`,
      )
      return file
    },
    async explain(file, options = {}) {
      let text = ''
      const environment = {
        args: [],
        cwd: directory.path,
        stdout: { write: (part: string) => (text += part) },
        stderr: { write: () => {} },
        noColor: true,
        inKubernetes: false,
        spireAdminSocket: undefined,
        runtimeDirectory: join(directory.path, 'none'),
      } as unknown as CliEnvironment
      const all = { output: 'json', lattice: 'default', logFormat: 'json', ...usual, ...options }
      let error: unknown
      try {
        await runIdentityExplain(file, all as ExplainOptions, environment)
      } catch (thrown) {
        error = thrown
      }
      if (text === '') throw error
      assert.doesNotMatch(text + inspect(error), /eyJ/, 'no token is shown')
      return { text, error, json: options.output === 'text' ? (undefined as never) : JSON.parse(text) }
    },
    [Symbol.dispose]: () => directory[Symbol.dispose](),
  }
}
