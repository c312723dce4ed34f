type Replica = { readonly up: boolean; readonly inFlight: number }

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

  /** The replica with the fewest requests in flight, one that is up if there is any; `*` serves hosts without a route of their own. */
  find(hostName: string): T | undefined {
    const replicas = this.#byHost.get(hostName) ?? this.#byHost.get('*')
    let best: T | undefined
    for (const replica of replicas?.values() ?? []) {
      if (
        best === undefined ||
        (replica.up && !best.up) ||
        (replica.up === best.up && replica.inFlight < best.inFlight)
      )
        best = replica
    }
    return best
  }
}
