/** `enum level` of wasi:logging, least serious first. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'critical'] as const
export type GuestLogLevel = (typeof logLevels)[number]

/** One call of `log`, from the cell to the control thread. Every text is the guest's. */
export type GuestLogLine = { readonly level: GuestLogLevel; readonly context: string; readonly message: string }

export type GuestLogBatch = {
  readonly lines: readonly GuestLogLine[]
  /** Calls since the last batch that were over the rate. */
  readonly dropped: number
}

export type LoggingCellConfig = {
  readonly level: GuestLogLevel
  /** Lines a second in the long run, and most at once. */
  readonly rate: number
  readonly burst: number
}

/** Characters; what is longer is cut. */
export const maxMessageLength = 8192
export const maxContextLength = 256
