/**
 * The script of the page, inline. What comes from the lattice goes into the page as `textContent` only; no attribute, address or style is ever made of it.
 * Cells are kept and only their changes written, so that a selection and a screen reader's place survive an update.
 */
export const pageScript = String.raw`
'use strict'
const byId = (id) => document.getElementById(id)
const goodStates = new Set(['ready', 'running', 'completed'])
const badStates = new Set(['error', 'not answering', 'not_found', 'refused', 'rejected', 'unverified', 'unknown-binding'])
const goodEvents = new Set(['granted', 'delivered', 'renewed', 'exchanged', 'signed', 'certificates', 'verified', 'called'])
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
const number = (n) => typeof n !== 'number' ? '' : n >= 10000 ? Math.round(n).toLocaleString('en') : String(n)
const rate = (n) => typeof n !== 'number' ? '' : (n >= 10 || n === 0 ? String(Math.round(n)) : n.toFixed(1)) + ' /s'
const sum = (list) => list.every((n) => typeof n !== 'number') ? undefined : list.reduce((total, n) => total + (n || 0), 0)
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
    columns: ['Namespace', 'Name', 'State', 'Replicas', 'Requests', 'Rate', 'In flight', 'Failures', 'Hosts', 'Since', 'Message'],
    rows: () => groups((each) => [each.namespace, each.name]).map((replicas) => {
      const [first] = replicas
      const running = replicas.filter((each) => each.state === 'running').length
      const worst = replicas.find((each) => toneOf(each.state) === 'bad') || replicas.find((each) => toneOf(each.state) === 'warn') || first
      return [
        first.namespace, first.name, { text: worst.state, tone: toneOf(worst.state) },
        running + ' of ' + replicas.length + ' running',
        number(sum(replicas.map((each) => each.requests))), rate(sum(replicas.map((each) => each.ratePerS))),
        number(sum(replicas.map((each) => each.inFlight))), number(sum(replicas.map((each) => each.failures))),
        unique(replicas.map((each) => each.hostName)).join('\n'),
        age(Math.max(...replicas.map((each) => each.sinceMs || 0)) || undefined),
        unique(replicas.map((each) => each.message).filter((each) => each !== '')).join('\n'),
      ]
    }),
  },
  components: {
    empty: 'No component runs.',
    columns: ['Workload', 'Component', 'SPIFFE ID', 'Audiences', 'Serves', 'Replicas', 'Image', 'Digest'],
    rows: () => groups((each) => [each.namespace, each.name]).flatMap((replicas) => {
      const seen = new Map()
      for (const replica of replicas) {
        for (const component of replica.components) {
          const key = JSON.stringify({ ...component, spiffeIds: [] })
          const known = seen.get(key) || { component, count: 0, ids: [] }
          seen.set(key, { component, count: known.count + 1, ids: unique([...known.ids, ...component.spiffeIds]) })
        }
      }
      return [...seen.values()].map(({ component, count, ids }) => [
        replicas[0].namespace + '/' + replicas[0].name, component.name,
        ids.join('\n') || (component.audiences.length > 0 ? '(no token yet)' : '(no identity)'),
        component.audiences.join('\n'), component.serves, String(count),
        { text: component.image, mono: true }, { text: component.digest, mono: true },
      ])
    }),
  },
  calls: {
    empty: 'No component has got a token or called anything yet.',
    columns: ['From', 'To', 'What', 'Count', 'Refused', 'As', 'Last'],
    rows: () => view.edges.map((edge) => [
      edge.from, edge.to, kinds[edge.kind], number(edge.count),
      edge.refused === 0 ? '' : { text: number(edge.refused), tone: 'bad' },
      edge.spiffeId, ago(edge.lastAtMs),
    ]),
  },
  events: {
    empty: 'Nothing has happened with identities yet, or hosts do not tell.',
    columns: ['When', 'Event', 'Component', 'About', 'SPIFFE ID', 'Reason', 'Count', 'Expires', 'Token id', 'Host'],
    rows: () => view.events.map((event) => {
      const kind = event.event.split('.')[1] || ''
      return [
        ago(event.atMs), { text: event.event, tone: badStates.has(kind) ? 'bad' : goodEvents.has(kind) ? 'good' : 'warn' },
        event.component, event.about, event.spiffeId, event.reason, event.count > 1 ? number(event.count) : '',
        until(event.expiresAtMs), { text: event.tokenId, mono: true }, event.hostName,
      ]
    }),
  },
}
const kinds = { audience: 'tokens', origin: 'signed requests', host: 'requests', component: 'calls', published: 'published', handled: 'handled' }
/** Who publishes a subject and who handles it meet in one box. */
const endOf = (edge) => (edge.kind === 'published' || edge.kind === 'handled' ? 'subject' : edge.kind) + ' ' + edge.to

function until(ms) {
  if (typeof ms !== 'number') return ''
  const left = Math.round((ms - Date.now() - offset.ms) / 1000)
  return left < 0 ? 'expired' : 'in ' + (left < 120 ? left + ' s' : Math.floor(left / 60) + ' min')
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
      const kind = (cell.tone || '') + (cell.mono ? ' mono' : '') + (cell.text === '' ? ' none' : '') + (cell.text.length < 15 ? ' brief' : cell.text.startsWith('spiffe:') ? ' long' : '')
      if (td.className !== kind) td.className = kind
    })
  })
  write(byId(id + '-count'), shown.length === all.length ? String(all.length) : shown.length + ' of ' + all.length)
  byId(id + '-empty').hidden = shown.length > 0
  write(byId(id + '-empty'), all.length === 0 ? empty : 'Nothing matches the filter.')
  byId(id + '-rows').closest('.scroll').hidden = shown.length === 0
}

/** Ends of edges on the left and on the right, the most used on top; numbers are all that its attributes are made of. */
function draw() {
  const svg = byId('graph-svg')
  const wanted = byId('filter').value.trim().toLowerCase()
  const edges = view.edges.filter((edge) => wanted === '' || (edge.from + ' ' + edge.to).toLowerCase().includes(wanted)).slice(0, 60)
  byId('graph').hidden = edges.length === 0
  const width = Math.max(300, byId('graph').clientWidth || 300)
  const key = JSON.stringify([width, edges.map((edge) => [edge.from, edge.to, edge.kind, edge.count, edge.refused])])
  if (svg.drawn === key) return
  svg.drawn = key
  const lefts = unique(edges.map((edge) => edge.from))
  const rights = unique(edges.map(endOf))
  const box = Math.min(340, Math.floor(width * 0.4)), row = 40
  const height = Math.max(lefts.length, rights.length) * row + 16
  svg.setAttribute('viewBox', '0 0 ' + width + ' ' + height)
  svg.setAttribute('height', String(height))
  svg.replaceChildren()
  const add = (name, attributes) => {
    const element = document.createElementNS(svg.namespaceURI, name)
    for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, String(value))
    svg.append(element)
    return element
  }
  const yOf = (list, at) => 8 + row / 2 + at * row + (height - 16 - list.length * row) / 2
  const most = Math.max(1, ...edges.map((edge) => edge.count))
  for (const edge of edges) {
    const y1 = yOf(lefts, lefts.indexOf(edge.from)), y2 = yOf(rights, rights.indexOf(endOf(edge)))
    const x1 = box + 8, x2 = width - box - 8, half = (x1 + x2) / 2
    add('path', {
      class: edge.count === 0 ? 'refused' : Object.hasOwn(kinds, edge.kind) ? edge.kind : 'origin',
      d: 'M' + x1 + ' ' + y1 + ' C' + half + ' ' + y1 + ' ' + half + ' ' + y2 + ' ' + x2 + ' ' + y2,
      'stroke-width': (1.5 + 3 * Math.log1p(edge.count) / Math.log1p(most)).toFixed(1),
    })
  }
  const fit = (text) => {
    const room = Math.floor((box - 16) / 7)
    return text.length > room ? text.slice(0, Math.ceil(room / 2) - 1) + '…' + text.slice(-Math.floor(room / 2)) : text
  }
  const node = (x, y, text, below) => {
    add('rect', { x: x, y: y - 17, width: box, height: 34, rx: 6 })
    add('text', { x: x + 8, y: below === '' ? y + 4 : y - 2 }).textContent = fit(text)
    if (below !== '') add('text', { x: x + 8, y: y + 12, class: 'small' }).textContent = fit(below)
  }
  lefts.forEach((from, at) => node(8, yOf(lefts, at), from, ''))
  rights.forEach((right, at) => {
    const all = edges.filter((each) => endOf(each) === right)
    const counts = unique(all.map((each) => each.kind)).map((kind) => number(sum(all.filter((each) => each.kind === kind).map((each) => each.count))) + ' ' + (kinds[kind] || ''))
    const refused = sum(all.map((each) => each.refused))
    node(width - box - 8, yOf(rights, at), all[0].to, counts.join(', ') + (refused > 0 ? ', ' + number(refused) + ' refused' : ''))
  })
}

function show() {
  const status = byId('status')
  status.className = trouble === '' || view === undefined ? '' : 'bad'
  document.body.className = trouble !== '' && view !== undefined ? 'stale' : ''
  write(status, trouble !== '' ? trouble : view.truncated ? 'live; there is more than the page shows' : 'live')
  if (view === undefined) return
  for (const id of Object.keys(tables)) fill(id)
  draw()
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
window.addEventListener('resize', () => view !== undefined && draw())
document.addEventListener('keydown', (event) => {
  const filter = byId('filter')
  if (event.ctrlKey || event.metaKey || event.altKey) return
  if (event.key === 'Escape' && event.target === filter) {
    filter.value = ''
    filter.blur()
    show()
  } else if (event.target !== filter) {
    const section = { 1: 'hosts', 2: 'workloads', 3: 'components', 4: 'calls', 5: 'events' }[event.key]
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
