import { cp, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HeraldError } from '../errors/herald-error.ts'
import { packageRoot } from './package-files.ts'
import { writeWitDependencies } from './project-wit.ts'

export const templates = ['c', 'js', 'python', 'go'] as const
export type Template = (typeof templates)[number]

/** What a project is made of, as folders of Herald's package: the examples are the templates, so that they are built by every test run. */
const parts: Readonly<Record<Template, readonly { from: string; to: string; only?: RegExp }[]>> = {
  c: [
    { from: 'templates/c', to: '.' },
    { from: 'components/c-bindings', to: 'bindings', only: /\.[ch]$/ },
    { from: 'components/whoami-c/src', to: 'bindings', only: /^jwt-claims\./ },
  ],
  js: [
    { from: 'templates/javascript', to: '.' },
    { from: 'components/hello-javascript/src', to: 'src' },
    { from: 'components/hello-javascript/wit', to: 'wit', only: /\.wit$/ },
  ],
  python: [
    { from: 'components/hello-python/src', to: 'src', only: /\.py$/ },
    { from: 'components/hello-python/wit', to: 'wit', only: /\.wit$/ },
  ],
  go: [
    { from: 'components/hello-go', to: '.', only: /^go\.mod$/ },
    { from: 'components/hello-go/src', to: 'src', only: /\.go$/ },
    { from: 'components/hello-go/wit', to: 'wit', only: /\.wit$/ },
  ],
}

const placeholders = ['component-name', 'hello-javascript', 'hello-python', 'hello-go']

/** Makes the folder of a project with identity ready to use. @returns its files. @throws ERR_USAGE when something is there already */
export async function newProject(template: Template, name: string, project: string): Promise<readonly string[]> {
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name) || name.length > 63) {
    throw new HeraldError('ERR_USAGE', `${JSON.stringify(name)} cannot name a component`, {
      hint: 'lower case words joined by -, such as order-api: it becomes part of its SPIFFE ID',
    })
  }
  const present = await readdir(project).catch(() => [] as string[])
  if (present.length > 0) {
    throw new HeraldError('ERR_USAGE', `${project} is there, and not empty`, { hint: 'choose another name, or --to' })
  }
  for (const { from, to, only } of [{ from: 'templates/shared', to: '.' }, ...parts[template]]) {
    await copyFolder(join(packageRoot, from), join(project, to), only)
  }
  // A file named .gitignore would not survive in a package of npm.
  await rename(join(project, 'gitignore'), join(project, '.gitignore'))
  await fillIn(project, name)
  await writeWitDependencies(project)
  return listFiles(project)
}

async function copyFolder(from: string, to: string, only: RegExp | undefined): Promise<void> {
  await mkdir(to, { recursive: true })
  for (const entry of await readdir(from, { withFileTypes: true })) {
    if (entry.isFile() && only !== undefined && !only.test(entry.name)) continue
    if (entry.isDirectory() && (entry.name === 'build' || only !== undefined)) continue
    await cp(join(from, entry.name), join(to, entry.name), { recursive: true })
  }
}

async function fillIn(project: string, name: string): Promise<void> {
  for (const file of await listFiles(project)) {
    const path = join(project, file)
    const text = await readFile(path, 'utf8')
    const filled = placeholders.reduce((all, placeholder) => all.replaceAll(placeholder, name), text)
    if (filled !== text) await writeFile(path, filled)
  }
}

async function listFiles(project: string): Promise<string[]> {
  const entries = await readdir(project, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(project.length + 1))
    .sort()
}
