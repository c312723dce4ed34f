import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/**
 * A TCP port of 127.0.0.1 on which nothing listens, below the range from which the kernel takes the ports of outgoing connections. It stays
 * reserved for this process until the process ends: test files that run side by side never get the same one, also while its server starts.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(12_000, 32_000)
    if ((await reserve(port)) && (await isFree(port))) return port
  }
  throw new Error('found no free port of 127.0.0.1 between 12000 and 32000 in 100 attempts')
}

/** By an abstract socket of the port's name, which the kernel lets go however this process ends; elsewhere than on Linux only within the process. */
function reserve(port: number): Promise<boolean> {
  if (process.platform !== 'linux') {
    if (reservedHere.has(port)) return Promise.resolve(false)
    reservedHere.add(port)
    return Promise.resolve(true)
  }
  return new Promise((resolve) => {
    const reservation = createServer()
    reservation.once('error', () => resolve(false))
    reservation.listen(`\0herald-test-port-${port}`, () => {
      reservation.unref()
      resolve(true)
    })
  })
}

const reservedHere = new Set<number>()

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
