/** One figure of a benchmark, over all its rounds. */
export type BenchResult = {
  /** What was measured, with its peer when it is a ratio: `hello over bare node:http`. */
  readonly measure: string
  /** `requests/s`, `µs`, `ratio`. */
  readonly unit: string
  readonly median: number
  readonly min: number
  readonly max: number
  /** Rounds behind the median. */
  readonly samples: number
  readonly goal?: BenchGoal
  readonly notRun?: undefined
}

export type BenchGoal = { readonly comparison: '≥' | '≤' | '='; readonly value: number }

/** A figure that this run could not take. */
export type BenchAbsence = {
  readonly measure: string
  /** Why, and what would be needed. */
  readonly notRun: string
  readonly goal?: BenchGoal
}

export type BenchRow = BenchResult | BenchAbsence

/** What `bench/results/<bench>.json` holds. */
export type BenchReport = {
  readonly bench: string
  /** ISO 8601. */
  readonly date: string
  readonly command: string
  readonly machine: {
    readonly cpu: string
    readonly cores: number
    readonly memoryGiB: number
    readonly os: string
    readonly node: string
    readonly v8: string
  }
  readonly results: readonly BenchRow[]
}

export type BenchOptions = {
  /** Interleaved rounds of each side. */
  readonly rounds: number
  /** Length of one round of one side, seconds. */
  readonly secondsPerRound: number
  /** Length of a bench that is one long run, minutes. */
  readonly minutes: number
  /** Progress, a line each, to standard error. */
  readonly say: (line: string) => void
}

export type BenchRun = (options: BenchOptions) => Promise<readonly BenchRow[]>

export function metGoal({ median, goal }: BenchResult): boolean {
  if (goal === undefined) return true
  if (goal.comparison === '=') return median === goal.value
  return goal.comparison === '≥' ? median >= goal.value : median <= goal.value
}

/** Three digits, or all of those before the point. */
export function formatFigure(value: number): string {
  if (value === 0) return '0'
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)
}

/** Median and spread of one series. @throws RangeError when there is no sample. */
export function summarize(
  measure: string,
  unit: string,
  samples: readonly number[],
  goal?: BenchResult['goal'],
): BenchResult {
  const sorted = [...samples].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const low = sorted[Math.ceil(middle) - 1]
  const high = sorted[Math.floor(middle)]
  if (low === undefined || high === undefined) throw new RangeError(`${measure}: no sample`)
  const min = sorted[0] ?? low
  const max = sorted.at(-1) ?? high
  return {
    measure,
    unit,
    median: (low + high) / 2,
    min,
    max,
    samples: sorted.length,
    ...(goal === undefined ? {} : { goal }),
  }
}
