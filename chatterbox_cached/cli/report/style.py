"""How the report looks: on white and on black, on a phone, at a desk and on paper. In ASCII, as is the whole file."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --text: #1b1f24; --dim: #57606a; --line: #d8dee4; --card: #f6f8fa;
  --bar: #2563c9; --warn: #9a3412; }
@media (prefers-color-scheme: dark) { :root { --page: #0d1117; --text: #e6edf3; --dim: #9aa4af; --line: #30363d;
  --card: #161b22; --bar: #6ea8fe; --warn: #f0a35e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1.25rem 3rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.125rem; margin: 0 0 .75rem; }
section { margin-top: 2.5rem; }
p { margin: 0 0 .75rem; }
small, figcaption, footer, .dim { color: var(--dim); font-size: .875rem; }
small { display: block; }
code { font: .875em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.tiles { display: grid; grid-template-columns: 1.5fr 1fr 1fr 1fr; gap: .75rem; margin: 1.5rem 0 0;
  padding: 0; list-style: none; }
.tiles li { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; }
.tiles b { display: block; font-size: 1.625rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tiles li.first b { color: var(--bar); }
.warn { color: var(--warn); }
p.warn { border-left: .25rem solid; padding-left: .75rem; margin-top: 1rem; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .5rem 0 .5rem 1.25rem; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line); }
th { color: var(--dim); font-size: .875rem; font-weight: 600; }
th:first-child, td:first-child, .words th, .words td { text-align: left; }
th:first-child, td:first-child { padding-left: 0; }
th, td + td { white-space: nowrap; }
.words td { white-space: normal; }
table + p { margin-top: 1.5rem; }
details { margin-top: .75rem; }
summary { cursor: pointer; color: var(--dim); }
svg { display: block; width: 100%; }
svg rect { fill: var(--bar); }
.bar { height: .25rem; margin-top: .4rem; }
.bar .track { fill: var(--line); }
figure { display: grid; grid-template-columns: auto 1fr; column-gap: .5rem; margin: 0; }
.chart { height: 11rem; }
.chart path { stroke: var(--line); vector-effect: non-scaling-stroke; fill: none; }
.chart .all { fill: transparent; }
.chart g:hover .all { fill: var(--line); }
.scale, .axis { display: flex; justify-content: space-between; color: var(--dim); font-size: .8125rem; }
.scale { flex-direction: column; text-align: right; line-height: 1; margin: -.4rem 0; white-space: nowrap; }
.axis { grid-column: 2; margin-top: .375rem; }
figcaption { grid-column: 2; margin-top: .25rem; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: .75rem; }
@media (max-width: 30rem) { body { padding: 1.25rem 1rem 2rem; } th, td { padding-left: .75rem; }
  .tiles { grid-template-columns: repeat(3, 1fr); gap: .5rem; font-size: .875rem; }
  .tiles li { padding: .5rem .625rem; }
  .tiles li.first { grid-column: 1 / -1; font-size: 1rem; } .tiles li + li b { font-size: 1.25rem; }
  .chart { height: 8rem; } }
@media print { :root { color-scheme: light; --page: #ffffff; --text: #000000; --dim: #444444; --line: #bbbbbb;
  --card: #ffffff; --bar: #2563c9; --warn: #9a3412; } body { max-width: none; padding: 0; font-size: 10pt; }
  svg rect { print-color-adjust: exact; -webkit-print-color-adjust: exact; } details { display: none; }
  tr, figure, .tiles { break-inside: avoid; } h2 { break-after: avoid; } }
"""
