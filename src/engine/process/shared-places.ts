/** Where in a value a shared memory was: the keys that lead there, and the number of the memory. */
export type SharedPlace = { readonly keys: readonly string[]; readonly memory: number }

/** A value of plain objects and lists without the shared memories in it, which do not cross to another process; and where they belong. */
export function takeMemories<T>(value: T): { value: T; memories: SharedArrayBuffer[]; places: SharedPlace[] } {
  const memories: SharedArrayBuffer[] = []
  const places: SharedPlace[] = []
  const copy = (each: unknown, keys: readonly string[]): unknown => {
    if (each instanceof SharedArrayBuffer) {
      const known = memories.indexOf(each)
      places.push({ keys, memory: known === -1 ? memories.push(each) - 1 : known })
      return undefined
    }
    if (Array.isArray(each)) return each.map((item, index) => copy(item, [...keys, String(index)]))
    if (typeof each !== 'object' || each === null || Object.getPrototypeOf(each) !== Object.prototype) return each
    return Object.fromEntries(Object.entries(each).map(([key, item]) => [key, copy(item, [...keys, key])]))
  }
  return { value: copy(value, []) as T, memories, places }
}

/** The reverse of {@link takeMemories}, in place, with memories of this side. */
export function putMemories(
  value: object,
  places: readonly SharedPlace[],
  memories: readonly SharedArrayBuffer[],
): void {
  for (const { keys, memory } of places) {
    let holder = value as Record<string, object>
    for (const key of keys.slice(0, -1)) holder = holder[key] as Record<string, object>
    holder[keys.at(-1)!] = memories[memory]!
  }
}
