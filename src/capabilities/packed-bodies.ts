/** Many bodies in one piece of memory, for a message between threads: a body that goes by itself costs as much as twenty numbers. */
export type PackedBodies = {
  /** Where each ends in `bytes`. */
  readonly ends: readonly number[]
  readonly bytes: Uint8Array
}

export function packBodies(bodies: readonly Uint8Array[]): PackedBodies {
  let end = 0
  const ends = bodies.map(({ length }) => {
    end += length
    return end
  })
  const bytes = new Uint8Array(end)
  for (const [index, body] of bodies.entries()) bytes.set(body, ends[index]! - body.length)
  return { ends, bytes }
}

/** @returns views. @throws TypeError for what another thread made up */
export function unpackBodies({ ends, bytes }: PackedBodies): Uint8Array[] {
  if (!Array.isArray(ends) || !(bytes instanceof Uint8Array)) throw new TypeError('no bodies')
  let from = 0
  return ends.map((end) => {
    const body = bytes.subarray(from, end)
    from = end
    return body
  })
}
