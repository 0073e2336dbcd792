/** Served as /style.css. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #f7f5f0; --card: #ffffff; --ink: #24302a; --soft: #5d6b63; --line: #dfdcd2; --field: #8b948e;
  --accent: #2c6e49; --on-accent: #ffffff; --good: #e3f0e6; --bad: #fae6e1; --bad-ink: #8f2d1b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #151a17; --card: #1e2521; --ink: #e7ece8; --soft: #9fada5; --line: #323c36; --field: #728078;
    --accent: #7cc79a; --on-accent: #10201a; --good: #1e3527; --bad: #40211b; --bad-ink: #f3b3a4;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; min-height: 100vh; display: flex; flex-direction: column;
  background: var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif;
}
.bar, main, footer { width: 100%; max-width: 62rem; margin: 0 auto; padding: 1rem 1.25rem; }
main { flex: 1; }
footer { color: var(--soft); font-size: .875rem; }
footer p { margin: 0 0 .25rem; }
footer::before { content: ''; display: block; border-top: 1px solid var(--line); margin-bottom: 1rem; }
a { color: var(--accent); }
h1, h2, .brand { font-family: Georgia, 'Times New Roman', serif; font-weight: 600; line-height: 1.2; }
h1 { font-size: clamp(1.75rem, 5vw, 2.5rem); margin: 1rem 0 .5rem; text-wrap: balance; }
h2 { font-size: 1.2rem; margin: 0; }
code { font-size: .9em; background: color-mix(in srgb, var(--ink) 8%, transparent); padding: .1em .35em; border-radius: .25rem; }

.bar { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: center; justify-content: space-between; }
.brand { font-size: 1.25rem; color: var(--ink); text-decoration: none; }
nav { display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; align-items: center; }
nav a { text-decoration: none; }
.count { background: var(--accent); color: var(--on-accent); border-radius: 1rem; padding: .05rem .5rem; font-size: .8rem; }

.notice { padding: .75rem 1rem; border-radius: .5rem; background: var(--good); border-left: .25rem solid var(--accent); margin: 0 0 1rem; }
.notice.problem { background: var(--bad); color: var(--bad-ink); border-color: currentColor; }
.hero p { color: var(--soft); font-size: 1.1rem; margin-top: 0; }
.hero strong { color: var(--ink); }

.teas { list-style: none; padding: 0; margin: 1.5rem 0; display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); }
.card, .panel { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1.25rem; }
.card { display: flex; flex-direction: column; gap: .5rem; }
.card p { color: var(--soft); margin: 0; flex: 1; }
.buy { display: flex; align-items: center; justify-content: space-between; }
.price { font-variant-numeric: tabular-nums; font-weight: 600; }
.leaf { width: 2.25rem; height: 2.25rem; border-radius: 0 70% 0 70%; background: linear-gradient(135deg, #a9c77f, #5d8a3a); }
.leaf.oolong { background: linear-gradient(135deg, #c9b873, #7d7a35); }
.leaf.assam { background: linear-gradient(135deg, #a8683f, #5b2e17); }
.leaf.rooibos { background: linear-gradient(135deg, #d9775a, #9c3a22); }
.leaf.jasmine { background: linear-gradient(135deg, #dcdcae, #94a86a); }
.leaf.mint { background: linear-gradient(135deg, #8fd6b4, #2f8a63); }

.lines { list-style: none; padding: .25rem 1.25rem; margin: 1rem 0; }
.lines li {
  display: grid; grid-template-columns: auto 1fr auto auto 6rem; gap: .5rem 1rem; align-items: center;
  padding: .75rem 0;
}
.lines li + li { border-top: 1px solid var(--line); }
.name { font-weight: 600; }
.lines .price { text-align: right; }
.total { display: flex; flex-wrap: wrap; gap: .5rem; justify-content: space-between; align-items: baseline; padding: 0 1.25rem; }
.total strong { font-size: 1.25rem; }
@media (max-width: 40rem) {
  .lines li { grid-template-columns: auto 1fr auto; }
  .lines .price { grid-column: 3; grid-row: 1; }
  .lines form:first-of-type { grid-column: 1 / 3; }
}

.devices { list-style: none; padding: .25rem 1.25rem; margin: 1rem 0; }
.devices li { display: grid; grid-template-columns: 1fr auto; gap: .1rem 1rem; align-items: center; padding: .9rem 0; }
.devices li + li { border-top: 1px solid var(--line); }
.devices .when { grid-row: 2; color: var(--soft); font-size: .9rem; }
.devices time { white-space: nowrap; }
.devices .inline { grid-column: 2; grid-row: 1 / 3; }
.badge { background: var(--good); border-radius: 1rem; padding: .1rem .6rem; font-size: .8rem; font-weight: 400; white-space: nowrap; }

.narrow { max-width: 26rem; margin: 0 auto; }
form.panel { display: grid; gap: 1rem; margin: 1rem 0; }
label { display: grid; gap: .25rem; font-weight: 600; }
label .hint { font-weight: 400; font-size: .9rem; }
label.check { display: flex; align-items: center; gap: .5rem; font-weight: 400; }
.inline { display: flex; gap: .5rem; align-items: center; margin: 0; }
input, button, .button { font: inherit; border-radius: .5rem; padding: .5rem .75rem; }
input { font-weight: 400; border: 1px solid var(--field); background: var(--paper); color: inherit; min-width: 0; }
input[type=number] { width: 4.5rem; }
input[type=checkbox] { width: 1.1rem; height: 1.1rem; accent-color: var(--accent); }
button, .button {
  border: 1px solid var(--accent); background: var(--accent); color: var(--on-accent);
  cursor: pointer; text-decoration: none; display: inline-block;
}
.choices { display: flex; flex-wrap: wrap; gap: .75rem 1.25rem; align-items: center; margin-top: 1.5rem; }
button:hover, .button:hover { filter: brightness(1.08); }
button.quiet { background: transparent; color: var(--accent); border-color: var(--line); padding: .35rem .75rem; }
:focus-visible { outline: .2rem solid var(--accent); outline-offset: .15rem; }
.hint, .status { color: var(--soft); }
.status { margin: 2rem 0 0; font-size: 1.1rem; letter-spacing: .1em; }
dl.panel { display: grid; grid-template-columns: auto 1fr; gap: .5rem 1.5rem; margin: 1rem 0; max-width: 34rem; }
dt { color: var(--soft); }
dd { margin: 0; }
`
