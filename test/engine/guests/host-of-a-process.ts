// A host with one cell in a process of its own, to be killed: tells its parent once the guest loops for ever.
import { cellSpec, component, serve, signal, testEngine } from '../engine-fixture.ts'
import { faultsComponent } from './build-guest.ts'

const engine = testEngine({ isolation: 'process' })
const limits = { watchdogMs: 600_000, requestTimeoutMs: 600_000 }
const cell = await engine.startCell(cellSpec(component(await faultsComponent(), limits)), { signal: signal() })
const ingress = await serve(cell)
await (await fetch(ingress.url)).text()
const beforeMs = cell.metrics().cpuMs
fetch(`${ingress.url}/loop`).catch(() => {})
while (cell.metrics().inFlight === 0) await new Promise((resolve) => setTimeout(resolve, 5))
process.send?.({ looping: true, beforeMs })
