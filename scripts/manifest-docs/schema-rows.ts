import { z } from 'zod'
import { schemaProblems } from '../../src/manifest/schema-problems.ts'

/** One key of the manifest's schema. */
export type SchemaKey = {
  /** From the schema's root, lists as `[]`: `components[].image`. */
  readonly path: string
  readonly required: boolean
  /** The type, and what bounds it. */
  readonly value: string
}

/** Every key below an object schema, in its order, down to texts, numbers and maps. */
export function schemaKeys(schema: z.ZodType, prefix = ''): readonly SchemaKey[] {
  return Object.entries(shapeOf(schema)).flatMap(([key, child]) => {
    const inner = withoutOptional(child)
    const path = `${prefix}${key}`
    const row = { path, required: inner === child, value: describe(inner) }
    const item = inner instanceof z.ZodArray ? (inner.element as z.ZodType) : undefined
    const below = item === undefined ? inner : item
    const nested = below instanceof z.ZodObject ? schemaKeys(below, `${path}${item === undefined ? '' : '[]'}.`) : []
    return [row, ...nested]
  })
}

function shapeOf(schema: z.ZodType): Readonly<Record<string, z.ZodType>> {
  if (!(schema instanceof z.ZodObject)) throw new TypeError('not the schema of an object')
  return schema.shape as Readonly<Record<string, z.ZodType>>
}

function withoutOptional(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodOptional ? (schema.unwrap() as z.ZodType) : schema
}

function describe(schema: z.ZodType): string {
  if (schema instanceof z.ZodLiteral) return `\`${String(schema.value)}\``
  if (schema instanceof z.ZodEnum) return schema.options.map((option) => `\`${option}\``).join(' · ')
  if (schema instanceof z.ZodRecord) return 'map of texts'
  if (schema instanceof z.ZodObject) return 'map'
  if (schema instanceof z.ZodBoolean) return 'boolean'
  const { minimum, maximum, minLength, maxLength, minItems, maxItems } = z.toJSONSchema(schema)
  if (schema instanceof z.ZodArray) {
    const count = bounds('entries', minItems, maxItems)
    return `list of ${describe(schema.element as z.ZodType)}${count === '' ? '' : `; ${count}`}`
  }
  if (schema instanceof z.ZodNumber) return `whole number${minimum === undefined ? '' : `, ${minimum} to ${maximum}`}`
  if (!(schema instanceof z.ZodString)) throw new TypeError(`there are no words for ${schema.type}`)
  const form = formOf(schema)
  const length = form.includes('at most') ? '' : bounds('characters', form === '' ? minLength : undefined, maxLength)
  return ['text', form, length].filter((part) => part !== '').join(', ')
}

/** What the schema itself says to a text that it refuses for its form. */
function formOf(schema: z.ZodString): string {
  const refused = '\u0000'
  const { error } = schema.safeParse(refused)
  const hint = schemaProblems(error?.issues ?? [], refused).find((problem) => problem.hint !== undefined)?.hint
  return hint?.replace(/^expected: /, '').replaceAll('*', '\\*') ?? ''
}

function bounds(noun: string, least: number | undefined, most: number | undefined): string {
  if (least !== undefined && most !== undefined) return `${least} to ${most} ${noun}`
  if (most !== undefined) return `at most ${most} ${noun}`
  if (least === undefined) return ''
  return noun === 'characters' && least === 1 ? 'not empty' : `at least ${least} ${noun}`
}
