/**
 * The script of the page, inline. What comes from the lattice goes into the page as `textContent` only; no attribute, address or style is ever made of it.
 * Cells are kept and only their changes written, so that a selection and a screen reader's place survive an update.
 */
export const pageScript = String.raw`
'use strict'
const byId = (id) => document.getElementById(id)
const goodStates = new Set(['ready', 'running', 'completed'])
const badStates = new Set(['error', 'not answering', 'not_found'])
const toneOf = (state) => goodStates.has(state) ? 'good' : badStates.has(state) ? 'bad' : 'warn'
const offset = { ms: 0 }
let view
let trouble = 'connecting…'

function age(ms) {
  if (typeof ms !== 'number') return ''
  const s = Math.max(0, Math.round((Date.now() + offset.ms - ms) / 1000))
  if (s < 120) return s + ' s'
  if (s < 7200) return Math.floor(s / 60) + ' min'
  if (s < 172800) return Math.floor(s / 3600) + ' h'
  return Math.floor(s / 86400) + ' d'
}
const ago = (ms) => typeof ms === 'number' ? age(ms) + ' ago' : ''
const unique = (texts) => [...new Set(texts)]

const tables = {
  hosts: {
    empty: 'No Herald host answers. Hosts of other kinds do not answer these questions.',
    columns: ['Name', 'State', 'CPU', 'Memory', 'Workloads', 'Version', 'Labels', 'HTTP', 'Up for', 'Last heartbeat', 'Id'],
    rows: () => view.hosts.map((host) => [
      host.name,
      { text: host.problem ? host.state + '\n' + host.problem : host.state, tone: host.problem ? 'bad' : toneOf(host.state) },
      host.state === 'not answering' ? '' : host.cpuPercent + ' %',
      host.state === 'not answering' || host.memoryPercent === undefined ? '' : host.memoryPercent + ' %',
      host.state === 'not answering' ? '' : String(view.workloads.filter((each) => each.hostId === host.id).length),
      host.version, host.labels.join('\n'), host.url, age(host.startedAtMs), ago(host.lastHeartbeatMs),
      { text: host.id, mono: true },
    ]),
  },
  workloads: {
    empty: 'No workload runs.',
    columns: ['Namespace', 'Name', 'State', 'Replicas', 'Hosts', 'Since', 'Message'],
    rows: () => groups((each) => [each.namespace, each.name]).map((replicas) => {
      const [first] = replicas
      const running = replicas.filter((each) => each.state === 'running').length
      const worst = replicas.find((each) => toneOf(each.state) === 'bad') || replicas.find((each) => toneOf(each.state) === 'warn') || first
      return [
        first.namespace, first.name, { text: worst.state, tone: toneOf(worst.state) },
        running + ' of ' + replicas.length + ' running',
        unique(replicas.map((each) => each.hostName)).join('\n'),
        age(Math.max(...replicas.map((each) => each.sinceMs || 0)) || undefined),
        unique(replicas.map((each) => each.message).filter((each) => each !== '')).join('\n'),
      ]
    }),
  },
  components: {
    empty: 'No component runs.',
    columns: ['Workload', 'Component', 'Serves', 'Audiences granted', 'Replicas', 'Image', 'Digest'],
    rows: () => groups((each) => [each.namespace, each.name]).flatMap((replicas) => {
      const seen = new Map()
      for (const replica of replicas) {
        for (const component of replica.components) {
          const key = JSON.stringify(component)
          seen.set(key, { component, count: (seen.get(key) || { count: 0 }).count + 1 })
        }
      }
      return [...seen.values()].map(({ component, count }) => [
        replicas[0].namespace + '/' + replicas[0].name, component.name, component.serves,
        component.audiences.join('\n') || '(no identity)', String(count),
        { text: component.image, mono: true }, { text: component.digest, mono: true },
      ])
    }),
  },
}

function groups(keyOf) {
  const found = new Map()
  for (const each of view.workloads) {
    const key = JSON.stringify(keyOf(each))
    if (!found.has(key)) found.set(key, [])
    found.get(key).push(each)
  }
  return [...found.entries()].sort(([a], [b]) => a < b ? -1 : 1).map(([, list]) => list)
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text
}

function fill(id) {
  const { columns, rows, empty } = tables[id]
  const wanted = byId('filter').value.trim().toLowerCase()
  const all = rows().map((row) => row.map((cell) => typeof cell === 'string' ? { text: cell } : cell))
  const shown = all.filter((row) => wanted === '' || row.some((cell) => cell.text.toLowerCase().includes(wanted)))
  const body = byId(id + '-rows')
  while (body.rows.length > shown.length) body.deleteRow(-1)
  shown.forEach((row, at) => {
    const tr = body.rows[at] || body.insertRow(-1)
    tr.setAttribute('role', 'row')
    row.forEach((cell, column) => {
      let td = tr.cells[column]
      if (!td) {
        td = tr.insertCell(-1)
        td.setAttribute('role', 'cell')
        td.setAttribute('data-label', columns[column])
      }
      write(td, cell.text)
      const kind = (cell.tone || '') + (cell.mono ? ' mono' : '') + (cell.text === '' ? ' none' : '')
      if (td.className !== kind) td.className = kind
    })
  })
  write(byId(id + '-count'), shown.length === all.length ? String(all.length) : shown.length + ' of ' + all.length)
  byId(id + '-empty').hidden = shown.length > 0
  write(byId(id + '-empty'), all.length === 0 ? empty : 'Nothing matches the filter.')
  byId(id + '-rows').closest('.scroll').hidden = shown.length === 0
}

function show() {
  const status = byId('status')
  status.className = trouble === '' || view === undefined ? '' : 'bad'
  document.body.className = trouble !== '' && view !== undefined ? 'stale' : ''
  write(status, trouble !== '' ? trouble : view.truncated ? 'live; there is more than the page shows' : 'live')
  if (view !== undefined) for (const id of Object.keys(tables)) fill(id)
}

for (const [id, { columns }] of Object.entries(tables)) {
  for (const title of columns) {
    const th = document.createElement('th')
    th.scope = 'col'
    th.setAttribute('role', 'columnheader')
    th.textContent = title
    byId(id + '-head').append(th)
  }
}
byId('filter').addEventListener('input', show)
document.addEventListener('keydown', (event) => {
  const filter = byId('filter')
  if (event.ctrlKey || event.metaKey || event.altKey) return
  if (event.key === 'Escape' && event.target === filter) {
    filter.value = ''
    filter.blur()
    show()
  } else if (event.target !== filter) {
    const section = { 1: 'hosts', 2: 'workloads', 3: 'components' }[event.key]
    if (event.key === '/') {
      event.preventDefault()
      filter.focus()
    } else if (section) {
      byId(section).focus()
      byId(section).scrollIntoView()
    }
  }
})

const events = new EventSource('/api/events')
events.addEventListener('fleet', (event) => {
  view = JSON.parse(event.data)
  offset.ms = view.atMs - Date.now()
  trouble = ''
  show()
})
events.addEventListener('trouble', (event) => {
  trouble = 'the hosts cannot be asked (' + JSON.parse(event.data).trouble + '); what is shown is old'
  show()
})
events.addEventListener('error', () => {
  trouble = 'the console does not answer; trying again'
  show()
  if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000)
})
`
