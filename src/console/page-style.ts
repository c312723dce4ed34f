/** The style of the page, inline. Colours keep a contrast of 4.5 to 1 in light and in dark (WCAG 2.2, 1.4.3). */
export const pageStyle = `
:root{color-scheme:light dark;--back:#fbfbfa;--card:#fff;--text:#1c1e21;--dim:#5a606a;--line:#dcdfe3;--accent:#0b57a4;--good:#176b34;--warn:#855300;--subject:#6b3fa0;--bad:#b3201f}
@media (prefers-color-scheme:dark){:root{--back:#131519;--card:#1b1e24;--text:#e6e8eb;--dim:#a2a9b4;--line:#333842;--accent:#83b8f5;--good:#6fce90;--warn:#eab760;--subject:#c3a6f2;--bad:#ff8d86}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);font:15px/1.45 system-ui,sans-serif}
header,nav,main,footer,noscript{max-width:1400px;margin:0 auto;padding:0 20px}
header{display:flex;flex-wrap:wrap;gap:8px 20px;align-items:center;padding-top:16px}
h1{font-size:20px;margin:0}
h2{font-size:16px;margin:28px 0 8px}
#status{margin:0;color:var(--dim);flex:1 1 220px}
#status.bad{color:var(--bad)}
.filter{color:var(--dim)}
input{font:inherit;color:inherit;background:var(--card);border:1px solid var(--dim);border-radius:6px;padding:6px 8px;width:220px;max-width:100%}
nav{display:flex;gap:18px;padding-top:10px}
nav a{color:var(--accent);padding:6px 0}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.skip{position:absolute;left:-999px}
.skip:focus{left:8px;top:8px;background:var(--card);padding:6px}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:8px}
table{border-collapse:collapse;width:100%}
th{text-align:left;font-weight:600;color:var(--dim);font-size:13px;white-space:nowrap}
th,td{padding:8px 12px;vertical-align:top}
td{border-top:1px solid var(--line);overflow-wrap:break-word;max-width:22em;unicode-bidi:isolate;white-space:pre-line}
td.mono{overflow-wrap:anywhere;min-width:13em;font:13px/1.5 ui-monospace,monospace}
td.brief{white-space:pre}
td.long{max-width:34em}
td.good,td.warn,td.bad{font-weight:600}
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}
nav{flex-wrap:wrap;column-gap:18px;row-gap:0}
.graph{background:var(--card);border:1px solid var(--line);border-radius:8px;margin-bottom:10px}
.graph svg{display:block;width:100%}
.graph text{fill:var(--text);font:13px/1 system-ui,sans-serif}
.graph text.small{fill:var(--dim);font-size:12px}
.graph path{fill:none;stroke-opacity:.75}
.graph .audience,.key.audience::before{stroke:var(--accent);border-color:var(--accent)}
.graph .origin,.key.origin::before{stroke:var(--good);border-color:var(--good)}
.graph .component,.key.component::before{stroke:var(--warn);border-color:var(--warn)}
.graph .host,.key.host::before{stroke:var(--dim);border-color:var(--dim)}
.graph .published,.key.published::before{stroke:var(--subject);border-color:var(--subject)}
.graph .handled,.key.handled::before{stroke:var(--subject);border-color:var(--subject);stroke-dasharray:2 3;border-top-style:dotted}
.graph .refused,.key.refused::before{stroke:var(--bad);border-color:var(--bad);stroke-dasharray:5 4;border-top-style:dashed}
.graph rect{fill:var(--back);stroke:var(--line)}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;margin:0 0 10px;font-size:13px}
.key::before{content:'';display:inline-block;width:22px;border-top:3px solid;margin-right:7px;vertical-align:middle}
.stale main{opacity:.55}
.empty,footer,section>p{color:var(--dim)}
footer{padding-top:20px;padding-bottom:28px;font-size:13px}
kbd{border:1px solid var(--line);border-radius:4px;padding:0 5px;font:inherit}
@media (max-width:720px){
header,nav,main,footer,noscript{padding-left:12px;padding-right:12px}
.filter,input{width:100%}
nav a{padding:10px 0}
thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
table,tbody,tr,td{display:block}
tr{padding:8px 0;border-top:1px solid var(--line)}
tr:first-child{border-top:0}
tr[hidden],td[hidden],td.none{display:none}
td,td.brief,td.long{border:0;max-width:none;white-space:pre-line;overflow-wrap:anywhere;padding:3px 12px 3px 116px;position:relative;min-height:28px}
td::before{content:attr(data-label);position:absolute;left:12px;width:100px;color:var(--dim);font:13px/1.6 system-ui,sans-serif}
}
`
