import { encodeUnsigned } from '../../../src/engine/wasm-reader.ts'
import { Random } from './random.ts'
import { type SectionSite, sectionSites } from './section-sites.ts'

export type Original = { readonly name: string; readonly bytes: Uint8Array; readonly sites: readonly SectionSite[] }

export function original(name: string, bytes: Uint8Array): Original {
  // A Buffer's slice would be a view: a copy that is none.
  return { name, bytes: new Uint8Array(bytes), sites: sectionSites(bytes) }
}

const tellingBytes = [0x00, 0x01, 0x40, 0x7f, 0x80, 0xfe, 0xff]
const tellingLengths = [0, 1, 0x7f, 0x80, 0xffff, 0x7fffffff, 0xffffffff]
const hostileNames = [
  '__proto__',
  'constructor',
  'toString',
  "'];x//",
  '`\u0024{1}`',
  '\u2028',
  '\0',
  '\u202e',
  '../../x',
  '\\u0027',
]

/** Ways to damage a component. Each gives a new array. */
export const mutations = {
  bitFlips: (random, { bytes }) => {
    const out = bytes.slice()
    for (let n = 1 + random.below(8); n > 0; n--) out[random.below(out.length)]! ^= 1 << random.below(8)
    return out
  },
  tellingBytes: (random, { bytes }) => {
    const out = bytes.slice()
    for (let n = 1 + random.below(4); n > 0; n--) out[random.below(out.length)] = random.pick(tellingBytes)
    return out
  },
  truncation: (random, { bytes }) => bytes.slice(0, random.below(bytes.length)),
  splice: (random, { bytes }, others) => {
    const from = random.pick(others).bytes
    const start = random.below(from.length)
    const piece = from.subarray(start, start + 1 + random.below(256))
    const at = random.below(bytes.length)
    return join(bytes.subarray(0, at), piece, bytes.subarray(at + random.pick([0, piece.length])))
  },
  removal: (random, { bytes }) => {
    const at = random.below(bytes.length)
    return join(bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(64)))
  },
  randomBytes: (random, { bytes }) => join(bytes.subarray(0, 8), random.bytes(random.below(512))),
  randomRun: (random, { bytes }) => {
    const at = random.below(bytes.length)
    const run = random.bytes(1 + random.below(64))
    return join(bytes.subarray(0, at), run, bytes.subarray(at + run.length))
  },
  sectionLengthLie: (random, { bytes, sites }) => {
    const { lengthAt, lengthBytes, end } = random.pick(sites)
    const truth = end - lengthAt - lengthBytes
    const lie = random.pick([truth + 1, Math.max(0, truth - 1), truth + random.below(1000), ...tellingLengths])
    return join(
      bytes.subarray(0, lengthAt),
      Uint8Array.from(encodeUnsigned(lie)),
      bytes.subarray(lengthAt + lengthBytes),
    )
  },
  countLie: (random, { bytes, sites }) => {
    const { lengthAt, lengthBytes } = random.pick(sites)
    const at = lengthAt + lengthBytes
    return join(
      bytes.subarray(0, at),
      Uint8Array.from(encodeUnsigned(random.pick(tellingLengths))),
      bytes.subarray(at + 1),
    )
  },
  sectionTwice: (random, { bytes, sites }) => {
    const { start, end } = random.pick(sites)
    const at = random.pick(sites).start
    return join(bytes.subarray(0, at), bytes.subarray(start, end), bytes.subarray(at))
  },
  sectionGone: (random, { bytes, sites }) => {
    const { start, end } = random.pick(sites)
    return join(bytes.subarray(0, start), bytes.subarray(end))
  },
  /** A name of the component, of at most 127 bytes, becomes another. The lengths around it are those of before. */
  hostileName: (random, { bytes }) => {
    const name = new TextEncoder().encode(random.pick(hostileNames))
    const from = random.below(bytes.length)
    const printable = (at: number) => bytes[at]! >= 0x20 && bytes[at]! < 0x7f
    for (let at = from; at < bytes.length - 128; at++) {
      const length = bytes[at]!
      if (length < name.length || length > 127) continue
      if (!printable(at + 1) || !printable(at + 2) || !printable(at + length)) continue
      const out = bytes.slice()
      out.fill(0x61, at + 1, at + 1 + length)
      out.set(name, at + 1)
      return out
    }
    return bytes.slice(0, from)
  },
} satisfies Record<string, (random: Random, original: Original, others: readonly Original[]) => Uint8Array>

export type MutationKind = keyof typeof mutations
const kinds = Object.keys(mutations) as MutationKind[]

/** The damaged component of this number: the same for the same originals, everywhere. */
export function mutate(seed: number, originals: readonly Original[]) {
  const random = new Random(seed)
  const from = random.pick(originals)
  const kind = random.pick(kinds)
  let bytes = mutations[kind](random, from, originals)
  // Some are damaged twice.
  if (random.below(8) === 0 && bytes.length > 0) bytes = mutations.bitFlips(random, { ...from, bytes })
  return { kind, from: from.name, bytes }
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}
