/** jco's glue makes the guest's `err` case of whatever is thrown with a `payload`. */
export class GuestFailure extends Error {
  override readonly name = 'GuestFailure'
  readonly payload: unknown

  constructor(payload: unknown, options?: ErrorOptions) {
    super('refused to the guest', options)
    this.payload = payload
  }
}
