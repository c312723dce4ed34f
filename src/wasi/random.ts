import { randomFillSync } from 'node:crypto'

/** The most random bytes one call gives; asking for more is a trap, since `list<u8>` must be exactly as long as asked for. */
const maxRandomBytes = 1n << 26n

function randomBytes(length: bigint): Uint8Array {
  if (length > maxRandomBytes) throw new Error(`wasi:random: more than ${maxRandomBytes} bytes in one call`)
  return randomFillSync(new Uint8Array(Number(length)))
}

function randomU64(): bigint {
  return randomFillSync(new BigUint64Array(1))[0] as bigint
}

/** `wasi:random/random`, from the operating system's cryptographic generator. */
export const random = { getRandomBytes: randomBytes, getRandomU64: randomU64 }

/** `wasi:random/insecure`. Served from the secure generator: nothing is gained by a worse one. */
export const insecure = { getInsecureRandomBytes: randomBytes, getInsecureRandomU64: randomU64 }

/** `wasi:random/insecure-seed`: different in every instance. */
export const insecureSeed = { insecureSeed: (): [bigint, bigint] => [randomU64(), randomU64()] }
