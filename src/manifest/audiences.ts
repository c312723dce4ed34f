/**
 * The allow-list of a `wasmcloud:identity` entry: `config.audiences`, comma-separated, blanks around a comma ignored.
 * @returns undefined when the list is empty or an item of it is.
 */
export function parseAudiences(text: string): readonly [string, ...string[]] | undefined {
  const [first, ...rest] = text.split(',').map((audience) => audience.trim())
  if (first === undefined || [first, ...rest].includes('')) return undefined
  return [first, ...new Set(rest.filter((audience) => audience !== first))]
}
