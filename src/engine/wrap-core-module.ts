import { componentEmbed, componentNew } from '@bytecodealliance/jco'

/**
 * A core module as a component of a world of its WIT text (all packages it names in one text, nested).
 * @throws what jco says is wrong with the module or the text
 */
export async function wrapCoreModule(
  binary: Uint8Array,
  {
    wit,
    world,
    adapters = {},
  }: {
    readonly wit: string
    readonly world: string
    /** Modules that serve imports of another ABI, by the name of what they serve. Default: none. */
    readonly adapters?: Readonly<Record<string, Uint8Array>>
  },
): Promise<Uint8Array> {
  return componentNew(await componentEmbed({ binary, witSource: wit, world }), Object.entries(adapters))
}
