import { type MessagePort, parentPort } from 'node:worker_threads'
import type { CellCapability, CellCapabilityModule } from '../capabilities/capability.ts'
import { GatheredCounts } from '../observability/gathered-counts.ts'
import { Tracer } from '../observability/tracer.ts'
import { jsName } from '../wit/wit-type.ts'
import { handleLimitCode, hasTooManyHandles } from './bound-handles.ts'
import { CapabilityLinks } from './capability-link.ts'
import { CellComponent, describe, toWireError } from './cell-component.ts'
import { listenInCell } from './cell-listener.ts'
import type { CellInit, FromCellMain, ToCellMain } from './cell-protocol.ts'
import { ChannelExchange } from './channel-exchange.ts'
import { CpuShare } from './cpu-share.ts'
import { EntryGate } from './entry-gate.ts'
import { isGuestError, kindOfFailure } from './guest-call.ts'
import { Lane, LaneSender, type ToCell, type ToIngress } from './http-channel.ts'
import type { HttpServer } from './http-server.ts'
import { underLabels } from './labelled-imports.ts'
import { LaneTable } from './lane-table.ts'
import { ListenerMeter } from './listener-meter.ts'
import { Pulse } from './pulse.ts'
import { Vitals } from './vitals.ts'

/** Entry of a cell's thread: waits, warm, for its workload, then serves it until it is terminated. */
const failureCodes = { busy: 'ERR_COMPONENT_BUSY', deadline: 'ERR_COMPONENT_DEADLINE', failed: 'ERR_COMPONENT_TRAP' }
const port = parentPort!
const post = (message: FromCellMain): void => port.postMessage(message)
const links = new CapabilityLinks(post, (component, name, fn, args, options) => {
  const target = components.get(component)
  return target?.call(name, fn, args, options) ?? Promise.reject(new Error('the component is not there yet'))
})
const components = new Map<string, CellComponent>()
const runs = new Map<number, AbortController>()
const servers: HttpServer[] = []
let meter: ListenerMeter | undefined
let tracer: Tracer | undefined
let draining = false
let lanesDraining = false

// A promise the guest or jco's glue forgot is not worth a cell; an exception that nobody caught is.
process.on('unhandledRejection', (reason) =>
  post({ kind: 'trap', component: '', reason: `unhandled: ${describe(reason)}` }),
)

port.on('message', (message: ToCellMain) => {
  switch (message.kind) {
    case 'init':
      open(message.cell).then(
        () => post({ kind: 'ready' }),
        (error) => post({ kind: 'failed', error: toWireError(error, 'ERR_COMPONENT_START') }),
      )
      return
    case 'lane':
      return openLane(message.component, message.port)
    case 'listen':
      void listen(message)
      return
    case 'run':
      return void run(message.id, message.component)
    case 'call':
      return void call(message)
    case 'abort-run':
      return runs.get(message.id)?.abort(new Error('the run was cancelled'))
    case 'capability-answer':
      return links.answer(message.id, message.value, message.error)
    case 'capability-message':
      return links.deliver(message.component, message.binding, message.message)
    case 'drain':
      draining = true
      lanesDraining = message.lanes
      if (meter !== undefined) meter.ending = true
      meter?.flush()
      tracer?.ending()
      void Promise.all(servers.map((server) => server.close())).then(() => post({ kind: 'drained' }))
  }
})

async function open(cell: CellInit): Promise<void> {
  const vitals = new Vitals(cell.vitals)
  if (cell.timed) meter = new ListenerMeter(vitals, (points) => post({ kind: 'requests', points }))
  if (cell.tracing !== undefined) tracer = new Tracer(cell.tracing, (spans) => post({ kind: 'spans', spans }))
  let opened = false
  const pulse = new Pulse(vitals, (nowMs) => {
    let busy = !opened
    let held = 0
    for (const component of components.values()) {
      if (component.checkDeadlines(nowMs)) busy = true
      held += component.held
    }
    vitals.set('held', held)
    return busy
  })
  pulse.start()
  const { cpuLimitMillicores } = cell
  const share =
    cpuLimitMillicores === undefined ? undefined : new CpuShare(cpuLimitMillicores, vitals, performance.now())
  const gate = share && new EntryGate(pulse, share)
  for (const init of cell.components) {
    const capabilities: CellCapability[] = []
    for (const [binding, { cellModule, config }] of init.bindings.entries()) {
      const module = (await import(cellModule)) as CellCapabilityModule
      const labels = init.labels?.filter((each) => each.binding === binding) ?? []
      capabilities.push(underLabels(module.openCapability(config, links.channel(init.name, binding)), labels))
    }
    const sent = new GatheredCounts((hosts) => post({ kind: 'sent', component: init.name, hosts }))
    const component = new CellComponent(init, {
      vitals,
      pulse,
      gate,
      capabilities,
      deniedAddresses: cell.deniedAddresses,
      onOutput: (stream, text) => post({ kind: 'output', component: init.name, stream, text }),
      onTrap: (reason) => post({ kind: 'trap', component: init.name, reason }),
      componentOf: (name) => components.get(name),
      tracer,
      onSent: (host) => sent.add(host.slice(0, 255)),
      onEgressRefused: (refusal) => post({ kind: 'egress-refused', component: init.name, ...refusal }),
    })
    components.set(init.name, component)
    component.warm()
  }
  opened = true
  // Not before: a start has a time limit of its own.
  if (share !== undefined) pulse.holdTo(share)
}

function openLane(name: string, lane: MessagePort): void {
  const component = components.get(name)!
  const sender = new LaneSender<ToIngress>(lane)
  const exchanges = new LaneTable<ChannelExchange>()
  const forget = (id: number) => void exchanges.delete(id)
  lane.on('message', (batch: ToCell[]) => {
    for (const message of batch) {
      if (message[0] !== Lane.request) {
        exchanges.get(message[1])?.receive(message)
        continue
      }
      const exchange = new ChannelExchange(message, sender, forget, component.init.limits.maxBodyBytes)
      exchanges.add(exchange)
      if (lanesDraining) exchange.fail(503, 'ERR_CELL_ENDED', 'the workload is stopping')
      else void component.serve(exchange)
    }
  })
  lane.on('close', () => {
    for (const exchange of exchanges.all()) exchange.receive([Lane.abort, exchange.id, 'the ingress is gone'])
  })
}

async function listen({ id, component, options }: Extract<ToCellMain, { kind: 'listen' }>): Promise<void> {
  try {
    const server = await listenInCell(components.get(component)!, options, { draining: () => draining, meter, tracer })
    servers.push(server)
    post({ kind: 'listening', id, port: server.port })
  } catch (error) {
    post({ kind: 'listening', id, error: toWireError(error, 'ERR_INGRESS_LISTEN') })
  }
}

async function call({ id, component, call: asked }: Extract<ToCellMain, { kind: 'call' }>): Promise<void> {
  const controller = new AbortController()
  runs.set(id, controller)
  const options = { deadlineMs: performance.now() + asked.timeoutMs, signal: controller.signal }
  try {
    const ok = await components.get(component)!.call(asked.interface, jsName(asked.function), asked.args, options)
    post({ kind: 'call-ended', id, result: { ok } })
  } catch (error) {
    if (isGuestError(error)) post({ kind: 'call-ended', id, result: { err: (error as { payload: unknown }).payload } })
    else {
      const code = hasTooManyHandles(error) ? handleLimitCode : failureCodes[kindOfFailure(error)]
      post({ kind: 'call-ended', id, error: { ...toWireError(error, ''), code } })
    }
  } finally {
    runs.delete(id)
  }
}

async function run(id: number, name: string): Promise<void> {
  const controller = new AbortController()
  runs.set(id, controller)
  try {
    post({ kind: 'run-ended', id, exitCode: await components.get(name)!.run(controller.signal) })
  } catch (error) {
    post({ kind: 'run-ended', id, error: toWireError(error, 'ERR_COMPONENT_TRAP') })
  } finally {
    runs.delete(id)
  }
}
