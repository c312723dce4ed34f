/** A function of an interface, as a person names it. */
export type FunctionName = {
  /** With or without version. */
  readonly interface: string
  readonly function: string
}

/** `acme:ledger/accounts.balance`, `acme:ledger/accounts@0.1.0.balance`; `undefined` for anything else, a path for one. */
export function parseFunctionName(text: string): FunctionName | undefined {
  const pattern =
    /^(?<name>[a-zA-Z][\w-]*:[a-zA-Z][\w-]*\/[a-zA-Z][\w-]*(?:@\d+\.\d+\.\d+[\w.+-]*)?)[.#](?<fn>[a-zA-Z][\w-]*)$/
  const { name, fn } = pattern.exec(text)?.groups ?? {}
  return name === undefined || fn === undefined ? undefined : { interface: name, function: fn }
}
