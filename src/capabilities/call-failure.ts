/** A component elsewhere that the guest called did not answer. The guest's own call ends with it. */
export class CallFailure extends Error {
  override readonly name = 'CallFailure'
  /** What the guest's caller is to be told: try again later, it took too long, or no more than that it failed. */
  readonly kind: 'busy' | 'deadline' | 'failed'

  constructor(kind: CallFailure['kind'], message: string) {
    super(message)
    this.kind = kind
  }
}
