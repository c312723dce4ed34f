import { HeraldError } from '../errors/herald-error.ts'

/** Everything that is wrong with a manifest, at once. With one problem it reads like that problem. */
export class ManifestError extends HeraldError {
  /** In the file's order, at least one. */
  readonly problems: readonly HeraldError[]

  constructor(file: string, problems: readonly [HeraldError, ...HeraldError[]]) {
    const [first] = problems
    super(first.code, problems.length === 1 ? first.message : `${problems.length} problems`, {
      where: problems.length === 1 ? (first.where ?? { file }) : { file },
      ...(problems.length === 1 && first.hint !== undefined && { hint: first.hint }),
    })
    this.problems = problems
  }

  /** One line for each problem. */
  override describe(): string {
    return this.problems.map((problem) => problem.describe()).join('\n')
  }
}
