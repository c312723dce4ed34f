import type { SocketPolicy } from './socket-policy.ts'

/** `wasi:sockets/network#network`: the one network there is; what a guest may reach on it is the {@link SocketPolicy}'s matter. */
export class Network {
  readonly policy: SocketPolicy
  /** Addresses that lookups by this instance returned, canonical. */
  readonly granted: Set<string>

  constructor(policy: SocketPolicy, granted: Set<string>) {
    this.policy = policy
    this.granted = granted
  }

  [Symbol.dispose](): void {}
}
