import { generate } from '@bytecodealliance/jco/component'
import { parseInterfaceName } from './component-imports.ts'
import type { WitInterface } from './engine.ts'

export type TranspiledFiles = { readonly glue: string; readonly modules: ReadonlyMap<string, Uint8Array> }

/**
 * jco's glue and the core modules of a component. Functions in `waits` (without version) suspend the guest's stack; all exports may
 * be suspended. Both lists come from the component's own WIT: a function left out would silently return 0 or throw.
 */
export async function transpileComponent(
  bytes: Uint8Array,
  {
    imports,
    exports,
    waits,
  }: { imports: readonly WitInterface[]; exports: readonly WitInterface[]; waits: readonly string[] },
): Promise<TranspiledFiles> {
  const waiting = new Set(waits)
  const { files } = await generate(bytes, {
    name: 'component',
    noTypescript: true,
    instantiation: { tag: 'sync' },
    map: [],
    noNodejsCompat: true,
    base64Cutoff: 0,
    tlaCompat: false,
    validLiftingOptimization: false,
    noNamespacedExports: false,
    multiMemory: false,
    asyncMode: {
      tag: 'jspi',
      val: {
        imports: functionsOf(imports).filter((name) => waiting.has(withoutVersion(name))),
        exports: functionsOf(exports),
      },
    },
  })
  const glue = files.find(([name]) => name.endsWith('.js'))
  if (glue === undefined) throw new Error('jco gave no JavaScript')
  const modules = files.filter(([name]) => name.endsWith('.wasm'))
  return { glue: new TextDecoder().decode(glue[1]), modules: new Map(modules) }
}

/** As jco's options name functions: `ns:pkg/iface@1.0.0#fn`, `label#fn`, and a bare function of the world by its name. */
function functionsOf(interfaces: readonly WitInterface[]): string[] {
  return interfaces.flatMap(({ name, functions, implements: implemented }) => {
    const isBare = implemented === undefined && parseInterfaceName(name).package === undefined
    return functions.map((fn) => (isBare && fn === name ? fn : `${name}#${fn}`))
  })
}

function withoutVersion(name: string): string {
  const [iface, fn] = name.split('#')
  return fn === undefined ? name : `${parseInterfaceName(iface!).base}#${fn}`
}
