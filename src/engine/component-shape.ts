import type { WitFunction, WitType } from '../wit/wit-type.ts'

/** What one instance type or instance offers. */
export type Shape = {
  readonly functions: Map<string, Signature | undefined>
  readonly instances: Map<string, Shape>
  readonly types: Map<string, Definition>
}

export type Signature = Omit<WitFunction, 'name'>

/** One entry of an index space of types; `undefined`: of no interest here. */
export type Definition = { shape: Shape } | { type: WitType } | { signature: Signature } | undefined

export function emptyShape(): Shape {
  return { functions: new Map(), instances: new Map(), types: new Map() }
}

export function signatureOf(definition: Definition): Signature | undefined {
  return definition !== undefined && 'signature' in definition ? definition.signature : undefined
}

export function shapeOf(definition: Definition): Shape | undefined {
  return definition !== undefined && 'shape' in definition ? definition.shape : undefined
}

/** An entry of the index space that is so many components further out than the innermost one, which is the last of `scopes`. */
export function outer(scopes: readonly (readonly Definition[])[], up: number, index: number): Definition {
  return scopes.at(-1 - up)?.[index]
}
