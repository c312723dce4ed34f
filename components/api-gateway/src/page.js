import markup from './page.html'

let page

/** The page with a policy that permits its own script and style by their hash, its own API, and nothing else. */
export async function renderPage() {
  page ??= {
    status: 200,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-cache',
      'content-security-policy': [
        "default-src 'none'",
        `script-src ${await hashOf('script')}`,
        `style-src ${await hashOf('style')}`,
        "connect-src 'self'",
        'img-src data:',
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
      ].join('; '),
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    },
    body: markup,
  }
  return page
}

async function hashOf(element) {
  const [, text] = markup.match(new RegExp(`<${element}>([\\s\\S]*?)</${element}>`))
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
  return `'sha256-${btoa(String.fromCharCode(...digest))}'`
}
