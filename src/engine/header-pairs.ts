/** @param flat names and values in turn */
export function pairsOf(flat: readonly string[]): [name: string, value: string][] {
  const pairs: [string, string][] = []
  for (let index = 0; index + 1 < flat.length; index += 2) pairs.push([flat[index]!, flat[index + 1]!])
  return pairs
}

/** @param flat names and values in turn @returns the same with names as guests get them */
export function withLowercaseNames(flat: readonly string[]): string[] {
  return flat.map((text, index) => (index % 2 ? text : text.toLowerCase()))
}
