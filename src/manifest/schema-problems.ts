import type { z } from 'zod'
import type { KeyPath, Problem } from './problem.ts'

/** Says in the manifest's terms what the schema found; `document` is the value that was checked. */
export function schemaProblems(issues: readonly z.core.$ZodIssue[], document: unknown): Problem[] {
  return issues.flatMap((issue) => toProblems(issue, document))
}

function toProblems(issue: z.core.$ZodIssue, document: unknown): Problem[] {
  const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))
  const value = valueAt(document, path)
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: [...path, key],
        at: 'key',
        message: `unknown key ${JSON.stringify(key)}`,
      }))
    case 'invalid_type':
      return [wrongType(path, issue.expected, value)]
    case 'invalid_value': {
      const allowed = issue.values.map((allowedValue) => String(allowedValue))
      if (value === undefined) return [missing(path, allowed.join(' or '))]
      return [{ path, at: 'value', message: `${show(value)} is not allowed`, hint: `use ${allowed.join(' or ')}` }]
    }
    case 'too_small':
      return [{ path, at: 'value', message: tooSmall(issue, value) }]
    case 'too_big':
      return [{ path, at: 'value', message: tooBig(issue, value) }]
    case 'invalid_format':
      return [{ path, at: 'value', message: `${show(value)} is not valid`, hint: `expected: ${issue.message}` }]
    default:
      return [{ path, at: 'value', message: issue.message }]
  }
}

function wrongType(path: KeyPath, expected: string, value: unknown): Problem {
  const wanted = typeNames[expected] ?? expected
  if (value === undefined) return missing(path, wanted)
  const problem = { path, at: 'value', message: `expected ${wanted}, found ${describeType(value)}` } as const
  if (expected === 'string' && (typeof value === 'number' || typeof value === 'boolean')) {
    return { ...problem, hint: `quote it: "${value}"` }
  }
  if (value === null) return { ...problem, hint: 'give it a value or remove the key' }
  return problem
}

const missing = (path: KeyPath, wanted: string): Problem => ({
  path,
  at: 'value',
  message: `${JSON.stringify(String(path.at(-1)))} is missing`,
  hint: `add it: ${wanted}`,
})

const typeNames: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping of texts',
}

function describeType(value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  switch (typeof value) {
    case 'string':
      return `the text ${show(value)}`
    case 'number':
      return `the number ${value}`
    case 'boolean':
      return String(value)
    default:
      return 'a mapping'
  }
}

function tooSmall(issue: z.core.$ZodIssueTooSmall, value: unknown): string {
  if (issue.origin === 'string') return 'must not be empty'
  if (issue.origin === 'array') return `needs at least ${issue.minimum} ${issue.minimum === 1 ? 'entry' : 'entries'}`
  return `${show(value)} is below ${issue.minimum}`
}

function tooBig(issue: z.core.$ZodIssueTooBig, value: unknown): string {
  if (issue.origin === 'string') return `is longer than ${issue.maximum} characters`
  if (issue.origin === 'array') return `has more than ${issue.maximum} entries`
  return `${show(value)} is above ${issue.maximum}`
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 120 ? `${text.slice(0, 120)}…` : text
}

function valueAt(document: unknown, path: KeyPath): unknown {
  let value = document
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = (value as Record<string | number, unknown>)[part]
  }
  return value
}
