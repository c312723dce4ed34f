import { HeraldError, isHeraldError } from '../errors/herald-error.ts'
import { parseImageReference } from './image-reference.ts'
import { ManifestError } from './manifest-error.ts'
import { checkWorkloadSpec, kubernetesWarning } from './manifest-rules.ts'
import { apiVersion, deploymentDocument, workloadDocument } from './manifest-schema.ts'
import type { KeyPath, ManifestWarning, Problem } from './problem.ts'
import { schemaProblems } from './schema-problems.ts'
import { toWorkload } from './to-workload.ts'
import type { Workload } from './workload.ts'
import { parseYamlDocuments, placeProblem, type YamlDocument } from './yaml-documents.ts'

export type Manifest = {
  /** In the file's order, at least one. */
  readonly workloads: readonly Workload[]
  /** Fields that are valid and have no effect on this host. */
  readonly warnings: readonly ManifestWarning[]
}

export type ParseManifestOptions = {
  /** As errors name it. */
  readonly file: string
  /** What `file://` images are relative to; absolute. */
  readonly baseDirectory: string
  /** Whether a regular file is there; told so that a missing component is an error with its line. */
  readonly isFile: (path: string) => boolean
}

/**
 * Parses a YAML file of one or more WorkloadDeployment and Workload documents.
 * @throws ManifestError with all problems of the file, each with line, column and key.
 */
export function parseManifest(text: string, { file, baseDirectory, isFile }: ParseManifestOptions): Manifest {
  const parsed = parseYamlDocuments(text, file)
  if ('errors' in parsed) throw manifestError(file, parsed.errors)
  if (parsed.documents.length === 0) {
    const hint = `write a WorkloadDeployment (apiVersion: ${apiVersion})`
    throw manifestError(file, [new HeraldError('ERR_MANIFEST_INVALID', 'the file is empty', { where: { file }, hint })])
  }

  const errors: HeraldError[] = []
  const warnings: ManifestWarning[] = []
  const workloads: Workload[] = []
  const seen = new Set<string>()
  for (const document of parsed.documents) {
    const place = (problem: Problem): HeraldError => placeProblem(problem, document)
    const checked = checkDocument(document, { baseDirectory, isFile })
    warnings.push(
      ...checked.warnings.map((problem) => ({ message: problem.message, where: place(problem).where ?? { file } })),
    )
    errors.push(...checked.problems.map(place))
    if (checked.workload === undefined) continue
    const { namespace, name } = checked.workload
    if (seen.has(`${namespace}/${name}`)) {
      errors.push(
        place({ path: ['metadata', 'name'], at: 'value', message: `${namespace}/${name} is in this file twice` }),
      )
    }
    seen.add(`${namespace}/${name}`)
    workloads.push(checked.workload)
  }
  if (errors.length > 0) throw manifestError(file, errors)
  return { workloads, warnings: warnings.toSorted((a, b) => (a.where.line ?? 0) - (b.where.line ?? 0)) }
}

type Checked = { workload: Workload | undefined; problems: readonly Problem[]; warnings: readonly Problem[] }

function checkDocument(document: YamlDocument, options: Omit<ParseManifestOptions, 'file'>): Checked {
  const { value } = document
  const kind = typeof value === 'object' && value !== null && 'kind' in value ? value.kind : undefined
  if (kind !== undefined && kind !== 'WorkloadDeployment' && kind !== 'Workload') {
    const message = `${JSON.stringify(kind)} is not a kind that a host runs`
    const problem: Problem = { path: ['kind'], at: 'value', message, hint: 'use WorkloadDeployment or Workload' }
    return { workload: undefined, problems: [problem], warnings: [] }
  }
  const schema = kind === 'Workload' ? workloadDocument : deploymentDocument
  const specPath: KeyPath = kind === 'Workload' ? ['spec'] : ['spec', 'template', 'spec']
  const spec = at(value, specPath)
  const result = schema.safeParse(value)
  const problems: Problem[] = result.success ? [] : schemaProblems(result.error.issues, value)
  const warnings: Problem[] = []
  if (typeof spec === 'object' && spec !== null) {
    const findings = checkWorkloadSpec(spec, specPath)
    problems.push(...findings.problems, ...imageProblems(spec, specPath, options))
    warnings.push(...findings.warnings)
  }
  if (kind === 'WorkloadDeployment') {
    const deployment = deploymentFindings(at(value, ['spec']))
    problems.push(...deployment.problems)
    warnings.push(...deployment.warnings)
  }
  if (!result.success || problems.length > 0) return { workload: undefined, problems, warnings }
  return { workload: toWorkload(result.data, options.baseDirectory), problems, warnings }
}

function deploymentFindings(spec: unknown): { problems: Problem[]; warnings: Problem[] } {
  const problems: Problem[] = []
  const warnings: Problem[] = []
  const { artifacts, deployPolicy, kubernetes } = (spec ?? {}) as Record<string, unknown>
  if (artifacts !== undefined) {
    const message = 'artifacts are objects of a cluster, which this host cannot read'
    problems.push({
      path: ['spec', 'artifacts'],
      at: 'key',
      kind: 'unsupported',
      message,
      hint: 'name the image in the component',
    })
  }
  if (deployPolicy !== undefined) {
    const message =
      'no effect on a host that starts it from a file: nothing older is replaced; herald deploy and the operator heed it'
    warnings.push({ path: ['spec', 'deployPolicy'], at: 'key', message })
  }
  if (kubernetes !== undefined) warnings.push(kubernetesWarning(['spec', 'kubernetes']))
  return { problems, warnings }
}

function imageProblems(spec: object, specPath: KeyPath, options: Omit<ParseManifestOptions, 'file'>): Problem[] {
  const components = 'components' in spec && Array.isArray(spec.components) ? spec.components : []
  const units: { unit: unknown; path: KeyPath }[] = [
    ...components.map((unit: unknown, index) => ({ unit, path: [...specPath, 'components', index] })),
    ...('service' in spec ? [{ unit: spec.service, path: [...specPath, 'service'] }] : []),
  ]
  return units.flatMap(({ unit, path }): Problem[] => {
    const image = at(unit, ['image'])
    if (typeof image !== 'string' || image === '') return []
    const place = { path: [...path, 'image'], at: 'value' } as const
    try {
      const reference = parseImageReference(image, options.baseDirectory)
      if (reference.kind !== 'file' || options.isFile(reference.path)) return []
      const hint = 'build the component, or correct the path (it is relative to the manifest)'
      return [{ ...place, kind: 'image-not-found', message: `there is no file ${reference.path}`, hint }]
    } catch (error) {
      if (!isHeraldError(error)) throw error
      return [
        { ...place, kind: 'image', message: error.message, ...(error.hint !== undefined && { hint: error.hint }) },
      ]
    }
  })
}

function at(value: unknown, path: KeyPath): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      typeof inner === 'object' && inner !== null && key in inner ? inner[key as keyof typeof inner] : undefined,
    value,
  )
}

function manifestError(file: string, errors: readonly HeraldError[]): ManifestError {
  const line = (error: HeraldError): number => error.where?.line ?? 0
  const column = (error: HeraldError): number => error.where?.column ?? 0
  const [first, ...rest] = errors.toSorted((a, b) => line(a) - line(b) || column(a) - column(b))
  if (first === undefined)
    throw new HeraldError('ERR_INTERNAL', 'a manifest without problems was refused', { where: { file } })
  return new ManifestError(file, [first, ...rest])
}
