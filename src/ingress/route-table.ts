type Replica = { readonly up: boolean; readonly resting: boolean; readonly inFlight: number; wake(): void }

/** Which replicas serve which host. */
export class RouteTable<T extends Replica> {
  readonly #byHost = new Map<string, Map<number, T>>()
  readonly #byId = new Map<number, { hosts: readonly string[]; replica: T }>()

  add(id: number, hosts: readonly string[] | '*', replica: T): void {
    const names = hosts === '*' ? ['*'] : hosts.map((host) => host.toLowerCase())
    this.#byId.set(id, { hosts: names, replica })
    for (const name of names) {
      const replicas = this.#byHost.get(name)
      if (replicas) replicas.set(id, replica)
      else this.#byHost.set(name, new Map([[id, replica]]))
    }
  }

  remove(id: number): T | undefined {
    const found = this.#byId.get(id)
    this.#byId.delete(id)
    for (const host of found?.hosts ?? []) {
      const replicas = this.#byHost.get(host)
      replicas?.delete(id)
      if (replicas?.size === 0) this.#byHost.delete(host)
    }
    return found?.replica
  }

  /**
   * The replica with the fewest requests in flight, one that is up if there is any; `*` serves hosts without a route of their own.
   * When all that are up have work, one that rests is woken for what comes next.
   */
  find(hostName: string): T | undefined {
    const replicas = this.#byHost.get(hostName) ?? this.#byHost.get('*')
    let best: T | undefined
    let resting: T | undefined
    for (const replica of replicas?.values() ?? []) {
      if (replica.resting) resting = replica
      if (best === undefined || isBetter(replica, best)) best = replica
    }
    if (resting !== undefined && best?.up && best.inFlight > 0) resting.wake()
    return best
  }
}

function isBetter(a: Replica, b: Replica): boolean {
  if (a.up !== b.up) return a.up
  if (a.resting !== b.resting) return a.resting
  return a.inFlight < b.inFlight
}
