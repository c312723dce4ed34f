import { type ErrorCode, errorCodes } from './error-codes.ts'

/** Where bad input stands: a file, and as far as known its line (1-based), column (1-based) and key. */
export type SourcePosition = { file: string; line?: number; column?: number; key?: string }

export type HeraldErrorOptions = {
  /** What to do next, as an imperative sentence. */
  hint?: string
  /** Where the input at fault stands. */
  where?: SourcePosition
  /** The foreign error this one translates. Never shown to guests. */
  cause?: unknown
}

/**
 * The one error type Herald throws on purpose: a stable code, what happened, where, and what to do next.
 * Messages and hints never contain a token, a key or a secret.
 */
export class HeraldError extends Error {
  override readonly name = 'HeraldError'
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly where: SourcePosition | undefined

  constructor(code: ErrorCode, message: string, options: HeraldErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.hint = options.hint
    this.where = options.where
  }

  /** Exit code of the `herald` command when this error ends it. */
  get exitCode(): number {
    return errorCodes[this.code].exitCode
  }

  /** `ERR_…: file:line: what (hint)`, on one line, for a person. */
  describe(): string {
    const where = this.where === undefined ? '' : `${formatPosition(this.where)}: `
    return `${this.code}: ${where}${this.message}${this.hint === undefined ? '' : ` — ${this.hint}`}`
  }
}

export function isHeraldError(error: unknown, code?: ErrorCode): error is HeraldError {
  return error instanceof HeraldError && (code === undefined || error.code === code)
}

function formatPosition({ file, line, column, key }: SourcePosition): string {
  const at = [file, line, line === undefined ? undefined : column].filter((part) => part !== undefined).join(':')
  return key === undefined ? at : `${at} (${key})`
}
