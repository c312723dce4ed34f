import { randomBytes } from 'node:crypto'

export type TemporaryCredentials = {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string
  readonly expiresAt: Date
  /** `arn:aws:sts::<account>:assumed-role/<role>/<session>` */
  readonly principalArn: string
}

/** What the STS stand-in has issued, for the service stand-ins to check against. */
export class TemporaryCredentialStore {
  readonly #byAccessKeyId = new Map<string, TemporaryCredentials>()

  /** In the lengths and alphabets of AWS's own; `ASIA` marks temporary keys. */
  issue(principalArn: string, expiresAt: Date): TemporaryCredentials {
    const issued: TemporaryCredentials = {
      accessKeyId: `ASIA${Array.from(randomBytes(16), (byte) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[byte & 31]).join('')}`,
      secretAccessKey: randomBytes(30).toString('base64'),
      sessionToken: randomBytes(180).toString('base64'),
      expiresAt,
      principalArn,
    }
    this.#byAccessKeyId.set(issued.accessKeyId, issued)
    return issued
  }

  find(accessKeyId: string): TemporaryCredentials | undefined {
    return this.#byAccessKeyId.get(accessKeyId)
  }
}
