import { createHash } from 'node:crypto'
import { pageScript } from './page-script.ts'
import { pageStyle } from './page-style.ts'

/** Of every response. Only the page's own script and style run, by their digest (CSP Level 3); nothing is loaded from elsewhere. */
export const pageHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    `script-src ${hashOf(pageScript)}`,
    `style-src ${hashOf(pageStyle)}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

const sections = [
  ['hosts', 'Hosts'],
  ['workloads', 'Workloads'],
  ['components', 'Components'],
  ['calls', 'Who calls what'],
  ['events', 'Identity events'],
] as const

/** The table below it says the same in words. */
const graph = `<div class="graph" id="graph" aria-hidden="true"><svg id="graph-svg"></svg></div>
<p class="legend"><span class="key audience">tokens for an audience</span><span class="key origin">signed requests to an origin</span><span class="key host">other requests to a host</span><span class="key component">calls of a component</span><span class="key published">messages published</span><span class="key handled">messages handled</span><span class="key refused">refused only</span></p>
`

/** The whole page; what it shows comes over `/api/events`. */
export const consolePage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Herald console</title>
<link rel="icon" href="data:,">
<style>${pageStyle}</style>
</head>
<body>
<a class="skip" href="#hosts">Skip to the hosts</a>
<header>
<h1>Herald</h1>
<p id="status" role="status">connecting…</p>
<label class="filter">Filter <input id="filter" type="search" autocomplete="off" spellcheck="false" maxlength="200" aria-keyshortcuts="/"></label>
</header>
<nav aria-label="Sections">${sections.map(([id, title]) => `<a href="#${id}">${title} <span id="${id}-count"></span></a>`).join('')}</nav>
<main>
${sections
  .map(
    ([id, title]) => `<section id="${id}" tabindex="-1" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
${id === 'calls' ? graph : ''}<div class="scroll" tabindex="0" role="region" aria-labelledby="${id}-title"><table role="table"><thead role="rowgroup"><tr role="row" id="${id}-head"></tr></thead><tbody role="rowgroup" id="${id}-rows"></tbody></table></div>
<p class="empty" id="${id}-empty" hidden></p>
</section>`,
  )
  .join('\n')}
</main>
<footer>Read only. Keys: <kbd>/</kbd> filter, <kbd>Esc</kbd> clear it, <kbd>1</kbd> to <kbd>5</kbd> the sections.</footer>
<noscript><p>The console needs JavaScript; <code>herald get hosts</code> does not.</p></noscript>
<script>${pageScript}</script>
</body>
</html>
`

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}
