import type { Capability, CellBinding } from '../capability.ts'
import { cellModule } from '../cell-module.ts'

/** Every version and name under which components in the field import it; all have the same two functions. */
export const configInterfaces = [
  'wasi:config/store@0.2.0-rc.1',
  'wasi:config/store@0.2.0-draft',
  'wasi:config/runtime@0.2.0-draft',
] as const

/**
 * `wasi:config/store`: the `config` of the hostInterfaces entries, and over it `localResources.config` of the component. Nothing of another
 * component, and nothing of the host's environment.
 */
export function createConfigCapability(): Capability {
  return {
    name: 'config',
    interfaces: configInterfaces,
    waits: [],
    async start() {},
    async configure(_component, entries, { localConfig = {} }): Promise<CellBinding> {
      const values = new Map<string, string>()
      for (const config of [...entries.map((entry) => entry.config), localConfig]) {
        for (const [key, value] of Object.entries(config)) values.set(key, value)
      }
      return {
        cellModule: cellModule(import.meta.url, 'config-cell'),
        config: values,
        handle: async () => {
          throw new TypeError('wasi:config asks nothing of the host')
        },
        attach() {},
        release() {},
      }
    },
    async [Symbol.asyncDispose]() {},
  }
}
