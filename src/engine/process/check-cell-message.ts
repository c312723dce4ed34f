import { z } from 'zod'
import type { FromCellMain } from '../cell-protocol.ts'

const id = z.int().min(0)
const text = z.string().max(65_536)
const attributes = z.record(z.string().max(256), z.union([z.string().max(4_096), z.number(), z.boolean()]))
const error = z.looseObject({ code: z.string().max(100), message: text, hint: text.optional() })
const count = z.number().min(0)

const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`))
const span = z.looseObject({
  traceId: hex(32),
  spanId: hex(16),
  parentSpanId: hex(16).optional(),
  name: z.string().max(1_024),
  kind: z.string().max(32),
  startMs: z.number(),
  endMs: z.number(),
  attributes: z.record(
    z.string().max(256),
    z.union([z.string().max(4_096), z.number(), z.array(z.string().max(4_096)).max(64), z.undefined()]),
  ),
  error: text.optional(),
})

/** One schema for each kind, so that a kind that is added is not forgotten here. Fields that are not named pass unread. */
const kinds: { readonly [Kind in FromCellMain['kind']]: z.ZodType } = {
  ready: z.unknown(),
  failed: z.looseObject({ error }),
  output: z.looseObject({ component: text, stream: z.enum(['stdout', 'stderr']), text: z.string() }),
  trap: z.looseObject({ component: text, reason: text }),
  'egress-refused': z.looseObject({ component: text, target: text, reason: text, count }),
  sent: z.looseObject({
    component: text,
    hosts: z.array(z.tuple([z.string().max(255), z.int().min(0).max(1_000_000_000)])).max(100),
  }),
  requests: z.looseObject({
    points: z.array(z.strictObject({ attributes, counts: z.array(count).max(64), count, sumS: count })).max(10_000),
  }),
  drained: z.unknown(),
  listening: z.looseObject({ id, port: id.optional(), error: error.optional() }),
  'run-ended': z.looseObject({ id, exitCode: z.int().optional(), error: error.optional() }),
  'call-ended': z.looseObject({ id, result: z.looseObject({}).optional(), error: error.optional() }),
  'capability-request': z.looseObject({ id, component: text, binding: id, method: z.string().max(256) }),
  'capability-abort': z.looseObject({ id }),
  'capability-told': z.looseObject({ component: text, binding: id, method: z.string().max(256) }),
  spans: z.looseObject({ spans: z.array(span).max(10_000) }),
}

/** What a process says to the control thread. @throws Error when no cell would say it */
export function checkCellMessage(value: unknown): FromCellMain {
  const { kind } = value as { kind?: unknown }
  if (typeof kind !== 'string' || !Object.hasOwn(kinds, kind)) throw new TypeError('a message of no known kind')
  kinds[kind as FromCellMain['kind']].parse(value)
  return value as FromCellMain
}
