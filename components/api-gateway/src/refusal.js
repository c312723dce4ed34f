/** An answer other than success, in the words the caller may read: never a token, a key or a secret. */
export class Refusal extends Error {
  /**
   * @param {number} status HTTP status
   * @param {string} code ours, or the relying party's own
   * @param {string} message
   * @param {'request' | 'identity' | 'exchange' | 'bedrock' | 's3'} step where it stopped
   */
  constructor(status, code, message, step) {
    super(message)
    this.status = status
    this.code = code
    this.step = step
  }
}
