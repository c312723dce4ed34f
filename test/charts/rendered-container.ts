import { chmodSync, chownSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { RenderedObject } from './helm-chart.ts'
import type { ImageRoot } from './image-root.ts'

type Volume = {
  readonly name: string
  readonly emptyDir?: object
  readonly configMap?: { readonly name: string }
  readonly secret?: {
    readonly secretName: string
    readonly items?: readonly { readonly key: string; readonly path: string }[]
  }
  readonly hostPath?: { readonly path: string }
  readonly csi?: { readonly driver: string }
  readonly projected?: {
    readonly sources: readonly { readonly serviceAccountToken: { readonly path: string; readonly audience: string } }[]
  }
}
type Container = {
  readonly name: string
  readonly command?: readonly string[]
  readonly args?: readonly string[]
  readonly env?: readonly {
    readonly name: string
    readonly value?: string
    readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } }
  }[]
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[]
  readonly securityContext: { readonly readOnlyRootFilesystem?: boolean }
}
type PodSpec = {
  readonly securityContext: {
    readonly runAsUser: number
    readonly runAsGroup: number
    readonly fsGroup?: number
    readonly supplementalGroups?: readonly number[]
  }
  readonly initContainers?: readonly Container[]
  readonly containers: readonly Container[]
  readonly volumes: readonly Volume[]
}

export type PodSurroundings = {
  readonly image: ImageRoot
  /** All that was rendered, for ConfigMaps. */
  readonly objects: readonly RenderedObject[]
  readonly secrets?: Readonly<Record<string, Readonly<Record<string, string>>>>
  /** ConfigMaps that the chart expects to be there. */
  readonly configMaps?: Readonly<Record<string, Readonly<Record<string, string>>>>
  /** Service account tokens by their audience. */
  readonly serviceAccountTokens?: Readonly<Record<string, string>>
  /** Directories that stand for those of a node, and for the volumes that a CSI driver makes there, by its name. */
  readonly nodeDirectories?: Readonly<Record<string, string>>
  /** What the cluster's DNS would answer: all of them are 127.0.0.1 here. */
  readonly names: readonly string[]
  /** What the pod is told of its own address; it is reached at 127.0.0.1 in any case, which is the default. */
  readonly podIp?: string
  /** A folder for the volumes of the pod: its containers share it. */
  readonly directory: string
  readonly podName: string
}

/** A program and its arguments for this machine. */
export type ContainerProcess = {
  readonly program: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

const loopback = '127.0.0.1'

/**
 * What a kubelet and a container runtime would do for a container of a rendered pod, as far as a process goes: volumes at their paths, the image's read-only root, exactly the rendered command, arguments and environment, user, groups, no new privileges. It does not
 * make network, process or user namespaces: ports are the machine's own. Needs root. @throws for a volume or field that it does not know
 */
export function containerProcess(
  object: RenderedObject,
  name: string,
  surroundings: PodSurroundings,
): ContainerProcess {
  const { spec } = (object.spec as { template: { spec: PodSpec } }).template
  const container = [...(spec.initContainers ?? []), ...spec.containers].find((each) => each.name === name)
  if (container === undefined) throw new Error(`the pod has no container ${name}`)
  const { image, directory, names } = surroundings
  const { runAsUser, runAsGroup, fsGroup, supplementalGroups = [] } = spec.securityContext

  const hostsFile = join(directory, 'hosts')
  writeFileSync(hostsFile, ['127.0.0.1 localhost', ...names.map((name) => `${loopback} ${name}`), ''].join('\n'))
  const mounts = [
    { from: hostsFile, to: '/etc/hosts', readOnly: true },
    ...container.volumeMounts.map(({ name, mountPath, readOnly = false }) => {
      const volume = spec.volumes.find((each) => each.name === name)
      if (volume === undefined) throw new Error(`the pod has no volume ${name}`)
      return { from: volumeDirectory(volume, surroundings, { runAsUser, fsGroup }), to: mountPath, readOnly }
    }),
  ]
  const root = image.path
  const script = ['set -eu', `mount --bind ${root} ${root}`]
  for (const { from, to, readOnly } of mounts) {
    makeMountPoint(from, join(root, to))
    script.push(`mount --bind ${from} ${root}${to}`, ...(readOnly ? [`mount -o remount,bind,ro ${root}${to}`] : []))
  }
  script.push(`mount -t proc proc ${root}/proc`, `mount --rbind /dev ${root}/dev`)
  if (container.securityContext.readOnlyRootFilesystem === true) script.push(`mount -o remount,bind,ro ${root}`)
  const groups = [...new Set([runAsGroup, ...(fsGroup === undefined ? [] : [fsGroup]), ...supplementalGroups])].join(
    ',',
  )
  script.push(
    `exec setpriv --no-new-privs chroot --userspec=${runAsUser}:${runAsGroup} --groups=${groups} ${root} "$@"`,
  )

  const env: Record<string, string> = Object.fromEntries(
    image.config.Env.map((line) => line.split(/=(.*)/s).slice(0, 2)),
  )
  const expand = (text: string) => text.replaceAll(/\$\(([A-Z_]+)\)/g, (whole, name: string) => env[name] ?? whole)
  for (const { name, value, valueFrom } of container.env ?? [])
    env[name] = value === undefined ? fieldOf(valueFrom?.fieldRef.fieldPath, surroundings) : expand(value)
  const command = container.command ?? image.config.Entrypoint
  const args = [...command, ...(container.args ?? [])].map(expand)
  return {
    program: '/usr/bin/unshare',
    args: ['--mount', '/bin/sh', '-c', script.join('\n'), 'container', ...args],
    env: { ...env, PATH: `${env.PATH}:/usr/bin:/bin:/usr/sbin:/sbin` },
  }
}

function fieldOf(path: string | undefined, { podName, podIp = loopback }: PodSurroundings): string {
  if (path === 'metadata.name') return podName
  if (path === 'status.podIP') return podIp
  if (path === 'spec.nodeName') return 'node-1'
  throw new Error(`the field ${path} is not understood`)
}

function volumeDirectory(
  volume: Volume,
  surroundings: PodSurroundings,
  { runAsUser, fsGroup }: { runAsUser: number; fsGroup: number | undefined },
): string {
  const { hostPath, csi, configMap, secret, projected } = volume
  const ofNode = hostPath?.path ?? csi?.driver
  if (ofNode !== undefined) {
    const directory = surroundings.nodeDirectories?.[ofNode]
    if (directory === undefined) throw new Error(`nothing stands for the node's ${ofNode}`)
    return directory
  }
  const directory = join(surroundings.directory, volume.name)
  if (existsSync(directory)) return directory
  mkdirSync(directory)
  const write = (files: Readonly<Record<string, string>>) => {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text, { mode: 0o644 })
  }
  if (configMap !== undefined) {
    const object = surroundings.objects.find(
      ({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === configMap.name,
    )
    const data = (object?.data as Record<string, string> | undefined) ?? surroundings.configMaps?.[configMap.name]
    if (data === undefined) throw new Error(`no ConfigMap ${configMap.name} was rendered or given`)
    write(data)
  } else if (secret !== undefined) {
    const data = surroundings.secrets?.[secret.secretName]
    if (data === undefined) throw new Error(`the Secret ${secret.secretName} was not given`)
    write(
      secret.items === undefined
        ? data
        : Object.fromEntries(secret.items.map(({ key, path }) => [path, data[key] ?? ''])),
    )
  } else if (projected !== undefined) {
    for (const { serviceAccountToken } of projected.sources) {
      const token = surroundings.serviceAccountTokens?.[serviceAccountToken.audience]
      if (token === undefined) throw new Error(`no token for ${serviceAccountToken.audience} was given`)
      write({ [serviceAccountToken.path]: token })
    }
  } else if (volume.emptyDir !== undefined) {
    // As a kubelet gives it: everybody's, and the group's of the pod.
    chownSync(directory, runAsUser === 0 ? 0 : (process.getuid?.() ?? 0), fsGroup ?? 0)
    chmodSync(directory, 0o2777)
  } else throw new Error(`the volume ${volume.name} is of a kind that is not understood`)
  return directory
}

function makeMountPoint(from: string, at: string): void {
  if (existsSync(at)) return
  mkdirSync(dirname(at), { recursive: true })
  if (statSync(from).isDirectory()) mkdirSync(at)
  else writeFileSync(at, '')
}
