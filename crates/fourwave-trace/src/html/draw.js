'use strict';
// The drawings: ladder, states over time, sequence numbers over time. Words come from the data;
// everything is written as text, never as markup.

const SVG = 'http://www.w3.org/2000/svg';
const MONO = 7.3;

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}
const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** A span in the unit that suits it, of microseconds. */
function span(us) {
  const short = (value, unit) => `${+value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${unit}`;
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 999500) return short(us / 1e3, 'ms');
  if (us < 120e6) return short(us / 1e6, 's');
  if (us < 7200e6) return `${Math.floor(us / 60e6)} min${us % 60e6 >= 1e6 ? ` ${Math.floor(us / 1e6) % 60} s` : ''}`;
  return `${Math.floor(us / 3600e6)} h ${Math.floor(us / 60e6) % 60} min`;
}
function bytes(n) {
  if (n < 1000) return `${n} B`;
  const unit = Math.min(5, Math.floor(Math.log10(n) / 3));
  const value = n / 1000 ** unit;
  return `${+value.toFixed(value < 100 ? 1 : 0)} ${['', 'kB', 'MB', 'GB', 'TB', 'PB'][unit]}`;
}
const count = (n) => n.toLocaleString('en');
const seconds = (us) => (us / 1e6).toFixed(6);

const GROUPS = {
  CLOSED: 'gone', LISTEN: 'gone', SYN_SENT: 'open', SYN_RECEIVED: 'open', ESTABLISHED: 'live',
  FIN_WAIT_1: 'close', FIN_WAIT_2: 'close', CLOSE_WAIT: 'close', CLOSING: 'close', LAST_ACK: 'close',
  TIME_WAIT: 'wait',
};
const stateClass = (state) => `s-${GROUPS[state] ?? 'gone'}`;

/** Cuts a text at spaces into lines of at most `columns`. */
function wrap(text, columns) {
  const lines = [''];
  for (let word of text.split(/\s+/)) {
    const last = lines.length - 1;
    if (lines[last] && lines[last].length + 1 + word.length > columns) lines.push(word);
    else lines[last] += (lines[last] ? ' ' : '') + word;
    while (lines[lines.length - 1].length > columns) {
      word = lines.pop();
      lines.push(word.slice(0, columns), word.slice(columns));
    }
  }
  return lines;
}

/** The first label that fits; the last one, cut, when none does. */
function fitting(labels, columns) {
  const label = labels.find((one) => one.length <= columns) ?? labels[labels.length - 1] ?? '';
  return label.length <= columns ? label : `${label.slice(0, Math.max(1, columns - 1))}…`;
}

/** The ladder: two lifelines in the colours of their states, a row for each thing that was seen. */
function ladder(detail, states, width) {
  const narrow = width < 640;
  const left = narrow ? 82 : 204;
  const right = width - (narrow ? 82 : 112);
  const columns = Math.floor((right - left - (narrow ? 14 : 26)) / (narrow ? 6.65 : MONO));
  const root = svg('svg', { class: narrow ? 'ladder narrow' : 'ladder', width, 'aria-hidden': 'true' });
  const lives = svg('g');
  const rows = svg('g');
  root.append(lives, rows);
  const ends = [left, right];
  const now = [0, 1].map((end) => states[detail.tracks[end][0][1]]);
  const since = [0, 0];
  let y = head(root, detail, width, left, right) + 8;
  since.fill(y - 4);
  const life = (end, to, idle) => {
    if (to > since[end]) {
      lives.append(svg('line', { class: `life-line ${stateClass(now[end])}${idle ? ' idle' : ''}`,
        x1: ends[end], x2: ends[end], y1: since[end], y2: to }));
    }
    since[end] = to;
  };
  for (const row of detail.rows) {
    if (row.g) {
      [0, 1].forEach((end) => life(end, y));
      rows.append(svg('text', { class: 'dim', x: (left + right) / 2, y: y + 15, 'text-anchor': 'middle' }, `${row.g} later`));
      y += 22;
      [0, 1].forEach((end) => life(end, y, true));
    }
    const group = svg('g', { class: ['row', `is-${row.k}`, ...(row.s ?? []).map((one) => `is-${one}`)].join(' '), 'data-p': row.p ?? '' });
    const middle = drawMiddle(group, row, { left, right, y, columns, narrow });
    (row.m ?? []).forEach((state, end) => {
      if (state === null) return;
      life(end, y + 20);
      now[end] = states[state];
      pill(group, states[state], end === 0 ? left - (narrow ? 4 : 8) : right + (narrow ? 4 : 8), y + 20, end, narrow);
    });
    const under = narrow && (row.m ?? [])[0] != null;
    const at = narrow ? left - 8 : 4;
    const anchor = narrow ? 'end' : 'start';
    group.append(svg('text', { class: 't', x: at, y: y + (under ? 42 : narrow ? 24 : 18), 'text-anchor': anchor }, seconds(row.t)));
    let height = Math.max(middle, under ? 48 : 32);
    if (row.p) {
      const below = narrow ? (row.m ?? [])[1] != null : true;
      group.append(svg('text', { class: 't', x: narrow ? right + 8 : 4, y: y + (narrow ? (below ? 42 : 24) : 31) }, cut(row.p, narrow ? 13 : 28)));
      height = Math.max(height, below && narrow ? 48 : 36);
    }
    group.prepend(svg('rect', { class: 'row-hit', x: 0, y, width, height, rx: 4 }));
    rows.append(group);
    y += height;
  }
  [0, 1].forEach((end) => life(end, y + 6));
  root.setAttribute('height', y + 12);
  root.setAttribute('viewBox', `0 0 ${width} ${y + 12}`);
  return root;
}

const cut = (text, columns) => (text.length > columns ? `${text.slice(0, columns - 1)}…` : text);

/** Who stands at the lifelines. Returns where rows may begin. */
function head(root, detail, width, left, right) {
  const room = Math.floor(width / MONO);
  const [client, server] = detail.titles;
  const narrow = width < 640;
  const text = (x, y, anchor, role, words) => root.append(svg('text', { x, y, 'text-anchor': anchor, class: role }, words));
  text(narrow ? 0 : left, 14, narrow ? 'start' : 'middle', 'role', 'client');
  text(narrow ? width : right, 14, narrow ? 'end' : 'middle', 'role', 'server');
  if (narrow) {
    text(0, 30, 'start', 'address', cut(client, room));
    text(width, client.length + server.length + 3 > room ? 46 : 30, 'end', 'address', cut(server, room));
    return client.length + server.length + 3 > room ? 52 : 38;
  }
  const stacked = client.length + server.length + 6 > (width / MONO);
  const place = (words, x) => Math.max(words.length * MONO / 2, Math.min(width - words.length * MONO / 2, x));
  text(place(client, left), 30, 'middle', 'address', client);
  text(place(server, right), stacked ? 46 : 30, 'middle', 'address', server);
  return stacked ? 52 : 38;
}

function pill(group, state, x, y, end, narrow) {
  const w = state.length * (narrow ? 5.55 : 6.4) + (narrow ? 8 : 10);
  const from = end === 0 ? x - w : x;
  group.append(svg('g', { class: stateClass(state) },
    svg('rect', { class: 'pill', x: from, y: y - 9, width: w, height: 18, rx: 9 }),
    svg('text', { class: 'pill-text', x: from + w / 2, y: y + 3.7, 'text-anchor': 'middle' }, state)));
}

/** What stands between the lifelines. Returns the height of the row. */
function drawMiddle(group, row, { left, right, y, columns, narrow }) {
  const looks = row.s ?? [];
  const toRight = row.k === 'icmp' ? row.d === 1 : row.d === 0;
  const center = (left + right) / 2;
  let height = 30;
  const label = (text, at, kind = 'label') => group.append(svg('text', { class: kind, x: center, y: at, 'text-anchor': 'middle' }, text));
  const captions = [...(row.c ?? [])];
  if (row.k === 'note') {
    const lines = row.l.flatMap((text) => wrap(text, Math.floor(columns * (narrow ? 0.98 : 1.1))));
    lines.forEach((text, n) => label(text, y + 15 + n * 16, 'note-text'));
    height = 10 + 16 * lines.length;
  } else if (row.k === 'gap') {
    label(fitting(row.l, columns), y + 19, 'dim');
    [left, right].forEach((x) => group.append(svg('rect', { x: x - 4, y: y + 7, width: 8, height: 18, fill: 'var(--panel)' }),
      svg('path', { class: 'axis', fill: 'none', d: `M${x} ${y + 4}l4 4l-8 5l8 5l-8 5l4 4` })));
    height = 34;
  } else {
    const waves = row.w ?? [];
    label(fitting(row.l, columns - waves.length * 3), y + 14);
    arrow(group, { from: toRight ? left : right, to: toRight ? right : left, y: y + 20, row, looks });
    waves.forEach((wave, n) => {
      const x = (toRight ? left : right) + (toRight ? 1 : -1) * (14 + n * 19);
      group.append(svg('circle', { class: 'wave', cx: x, cy: y + 10, r: 7.5 }),
        svg('text', { class: 'wave-no', x, y: y + 14, 'text-anchor': 'middle' }, wave));
    });
  }
  const lines = captions.flatMap((text) => wrap(text, Math.floor(columns * (narrow ? 0.98 : 1.12))));
  lines.forEach((text, n) => {
    group.append(svg('text', { class: 'caption', x: toRight ? left + 12 : right - 12, y: y + height + 5 + n * 15,
      'text-anchor': toRight ? 'start' : 'end' }, text));
  });
  return height + (lines.length ? 5 + lines.length * 15 : 0) + 4;
}

function arrow(group, { from, to, y, row, looks }) {
  const way = Math.sign(to - from);
  const lost = looks.includes('lost');
  const tip = lost ? from + (to - from) * 0.86 : to - way * 3;
  const start = from + way * (row.k === 'both' ? 12 : 3);
  const end = lost ? tip - way * 4 : tip - way * 7;
  const point = (x, forward) => svg('path', { class: 'head-tip', d: `M${x} ${y}l${-forward * 10} -5v10z` });
  const thick = row.k === 'both' ? ' is-bulk' : '';
  const inner = svg('g', { class: thick.trim() }, svg('path', { class: 'arrow', d: `M${start} ${y}H${end}` }));
  if (lost) inner.append(svg('path', { class: 'cross', d: `M${tip - 6} ${y - 6}l12 12m0 -12l-12 12` }));
  else inner.append(point(tip, way));
  if (row.k === 'both') inner.append(point(from + way * 3, -way));
  if (row.k === 'icmp') inner.append(svg('path', { class: 'cross', d: `M${from + way * 4} ${y - 5}l10 10m0 -10l-10 10` }));
  group.append(inner);
}

/** The rows in words, for those who do not see the drawing. */
function ladderWords(detail, states) {
  return el('ol', { class: 'sr' }, ...detail.rows.map((row) => {
    const moves = (row.m ?? []).map((state, end) => (state === null ? '' : `; ${detail.words[end]} is in ${states[state]}`)).join('');
    const who = ['note', 'gap'].includes(row.k) ? '' : `${detail.words[row.d]}: `;
    return el('li', {}, `${seconds(row.t)} s ${row.p ?? ''} ${who}${row.l[0] ?? ''}${(row.c ?? []).map((one) => `; ${one}`).join('')}${moves}`);
  }));
}

/** Each end's states with their ends: the last one goes to the end of TIME_WAIT or of what was seen. */
function spans(detail, states) {
  return detail.tracks.map((track, end) => track.map(([from, state], n) => {
    const wait = detail.waits.find((one) => one[0] === end);
    const last = n + 1 === track.length;
    const name = states[state];
    const to = !last ? track[n + 1][0] : name === 'TIME_WAIT' && wait ? wait[2] : Math.max(detail.end, from);
    return { name, from, to, last };
  }).filter((one) => one.name !== 'CLOSED' && one.to >= one.from));
}

/** Both ends' states over time. Short states keep a visible width; the wait after the end is shortened. */
function timeline(detail, states, width) {
  const tracks = spans(detail, states);
  const all = tracks.flat();
  const begin = Math.min(0, ...all.map((one) => one.from));
  const finish = Math.max(detail.end, ...all.filter((one) => one.name !== 'TIME_WAIT').map((one) => one.to), begin + 1);
  const last = Math.max(finish, ...all.map((one) => one.to));
  const tail = last > finish ? Math.min(180, width * 0.25) : 0;
  const x = stretch([begin, finish, ...all.flatMap((one) => [one.from, one.to])].filter((t) => t <= finish), width - tail - 2, 5);
  const at = (t) => (t <= finish ? x(t) : width - tail + (tail - 2) * (t - finish) / (last - finish)) + 1;
  const root = svg('svg', { class: 'timeline', width, height: 144, viewBox: `0 0 ${width} 144`, role: 'img', 'aria-label': 'States of both ends over time' });
  if (detail.half) half(root, detail.half, at, width);
  tracks.forEach((track, end) => {
    const y = end === 0 ? 18 : 88;
    root.append(svg('text', { class: 'role', x: 0, y: y - 5 }, end === 0 ? 'client' : 'server'));
    for (const one of track) bar(root, one, at(one.from), at(one.to), y);
  });
  if (tail) {
    // The axis is cut here: what follows has another scale.
    const x = width - tail + 7;
    root.append(svg('path', { class: 'cut', d: `M${x} 14l-4 108h5l4 -108z` }), svg('path', { class: 'axis', fill: 'none', d: `M${x} 14l-4 108m5 0l4 -108` }));
  }
  let free = -1;
  for (const t of [...new Set([begin, ...all.flatMap((one) => [one.from, one.to])])].sort((a, b) => a - b)) {
    const words = span(Math.max(0, t));
    const from = Math.min(Math.max(0, at(t) - 3), width - words.length * 6.8);
    root.append(svg('line', { class: 'axis', x1: at(t), x2: at(t), y1: 116, y2: 122 }));
    if (from < free) continue;
    root.append(svg('text', { class: 'dim', x: from, y: 136 }, words));
    free = from + words.length * 6.8 + 10;
  }
  return root;
}

function bar(root, one, from, to, y) {
  const w = Math.max(to - from, 1.5);
  const group = svg('g', { class: stateClass(one.name) },
    svg('rect', { class: 'span', x: from, y, width: w, height: 26, rx: Math.min(4, w / 2) }),
    svg('title', {}, `${one.name}: ${span(one.to - one.from)}, from ${seconds(one.from)} s`));
  if (w > one.name.length * 6.9 + 8) group.append(svg('text', { class: 'span-text', x: from + w / 2, y: y + 17, 'text-anchor': 'middle' }, one.name));
  root.append(group);
}

function half(root, { since, until, text }, at, width) {
  const [from, to] = [at(since), Math.max(at(until), at(since) + 2)];
  root.append(svg('rect', { class: 'half', x: from, y: 18, width: to - from, height: 96 }));
  const long = text.length * 6.1;
  const words = long > width ? text.split(':')[0] : text;
  const x = Math.max(0, Math.min((from + to) / 2 - words.length * 3.05, width - words.length * 6.1));
  root.append(svg('text', { class: 'half-text', x, y: 62 }, words));
}

/** A scale on which no step between two neighbours is narrower than `least` pixels. */
function stretch(times, width, least) {
  const steps = [...new Set(times)].sort((a, b) => a - b);
  const whole = steps[steps.length - 1] - steps[0] || 1;
  const wide = steps.slice(1).map((t, n) => Math.max(least, width * (t - steps[n]) / whole));
  const sum = wide.reduce((a, b) => a + b, 0) || 1;
  const places = [0];
  wide.forEach((w) => places.push(places[places.length - 1] + w * width / sum));
  return (t) => {
    let n = 0;
    while (n + 2 < steps.length && t > steps[n + 1]) n += 1;
    if (steps.length < 2) return 0;
    return places[n] + (places[n + 1] - places[n]) * (t - steps[n]) / (steps[n + 1] - steps[n]);
  };
}

function timelineWords(detail, states) {
  return el('ul', { class: 'spans' }, ...spans(detail, states).map((track, end) => el('li', {}, el('b', {}, end === 0 ? 'client' : 'server'),
    ...track.map((one) => el('span', { class: `key ${stateClass(one.name)}` }, `${one.name} ${span(one.to - one.from)}`)))));
}

/** Steps of 1, 2 or 5 times a power of ten. */
function ticks(from, to, most) {
  const raw = (to - from) / most || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((one) => one * power >= raw);
  const out = [];
  for (let t = Math.ceil(from / step) * step; t <= to; t += step) out.push(t);
  return out;
}

/** Times and numbers of one kind of points, from their differences. */
function unfold(differences) {
  const out = [];
  for (let n = 0, t = 0, seq = 0; n < differences.length; n += 2) {
    t += differences[n];
    seq += differences[n + 1];
    out.push([t, seq]);
  }
  return out;
}

const KINDS = [['data', 'data'], ['retransmitted', 'retransmitted'], ['ack', 'acknowledged'], ['window', 'window edge']];

/** Sequence numbers of one stream over time; nothing where it carried no data. */
function plot(points, title, width) {
  const [data, retransmitted, acks, window] = points.map(unfold);
  const sent = [...data, ...retransmitted];
  if (sent.length < 4) return null;
  const [w, h, mx, my] = [width, 260, 62, 26];
  const times = [...sent, ...acks].map(([t]) => t);
  const [t0, t1] = [Math.min(...times), Math.max(...times)];
  const top = Math.max(...sent.map(([, seq]) => seq)) * 1.06 + 1;
  const low = Math.min(...sent.map(([, seq]) => seq));
  const floor = low < top / 3 ? 0 : low - (top - low) * 0.05;
  const x = (t) => mx + (w - mx - 8) * (t - t0) / (t1 - t0 || 1);
  const y = (seq) => h - my - (h - my - 8) * (seq - floor) / (top - floor || 1);
  const root = svg('svg', { width: w, height: h, viewBox: `0 0 ${w} ${h}`, role: 'img', 'aria-label': `${title}: sequence numbers over time` });
  axes(root, { t0, t1, floor, top, x, y, w, h, mx, my });
  const clip = `clip${plot.next = (plot.next ?? 0) + 1}`;
  root.append(svg('clipPath', { id: clip }, svg('rect', { x: mx, y: 4, width: w - mx - 4, height: h - my - 2 })));
  const inside = svg('g', { 'clip-path': `url(#${clip})` });
  inside.append(...[[window, 'p-window'], [acks, 'p-ack']].map(([line, kind]) => svg('path', { class: kind, d: steps(line, x, y) })),
    svg('path', { class: 'p-data', d: dots(data, x, y, 1.8) }), svg('path', { class: 'p-retransmitted', d: dots(retransmitted, x, y, 3) }));
  root.append(inside);
  const beyond = window.length > 0 && window.every(([, seq]) => seq > top);
  const readout = el('p', { class: 'readout' });
  hover(root, readout, { points: [data, retransmitted, acks, window], x, y, w, h, mx, my });
  const keys = KINDS.filter((_, n) => points[n].length).map(([kind, words]) => el('span', { class: `key ${kind}` }, kind === 'window' && beyond ? `${words} (above the plot)` : words));
  return el('div', { class: 'draw' }, el('h3', {}, title), root, el('p', { class: 'legend' }, ...keys), readout);
}

function axes(root, { t0, t1, floor, top, x, y, w, h, mx, my }) {
  for (const seq of ticks(floor, top, 6)) {
    root.append(svg('line', { class: 'tickline', x1: mx, x2: w - 4, y1: y(seq), y2: y(seq) }),
      svg('text', { class: 'dim', x: mx - 6, y: y(seq) + 4, 'text-anchor': 'end' }, bytes(Math.round(seq))));
  }
  for (const t of ticks(t0, t1, Math.max(3, Math.floor((w - mx) / 90)))) {
    root.append(svg('line', { class: 'axis', x1: x(t), x2: x(t), y1: h - my, y2: h - my + 4 }),
      svg('text', { class: 'dim', x: Math.min(x(t), w - 24), y: h - my + 16, 'text-anchor': 'middle' }, span(Math.max(0, t))));
  }
  root.append(svg('path', { class: 'axis', fill: 'none', d: `M${mx} 4V${h - my}H${w - 4}` }));
}

const r1 = (n) => n.toFixed(1);
function steps(line, x, y) {
  if (!line.length) return '';
  return line.map(([t, seq], n) => (n === 0 ? `M${r1(x(t))} ${r1(y(seq))}` : `H${r1(x(t))}V${r1(y(seq))}`)).join('');
}
const dots = (line, x, y, r) => line.map(([t, seq]) => `M${r1(x(t) - r)} ${r1(y(seq) - r)}h${2 * r}v${2 * r}h${-2 * r}z`).join('');

/** Says what lies nearest to the pointer. */
function hover(root, readout, { points, x, w, h, mx, my }) {
  const line = svg('line', { class: 'p-cross', y1: 4, y2: h - my, x1: -9, x2: -9 });
  root.append(line);
  root.addEventListener('pointerleave', () => { line.setAttribute('x1', -9); line.setAttribute('x2', -9); readout.textContent = ''; });
  root.addEventListener('pointermove', (event) => {
    const box = root.getBoundingClientRect();
    const px = (event.clientX - box.left) * w / box.width;
    if (px < mx) return;
    const said = [];
    let at = null;
    points.forEach((kind, n) => {
      const near = kind.reduce((best, one) => (best && Math.abs(x(best[0]) - px) <= Math.abs(x(one[0]) - px) ? best : one), null);
      if (!near || Math.abs(x(near[0]) - px) > 12) return;
      at ??= near[0];
      said.push(`${KINDS[n][1]} ${count(near[1])}`);
    });
    line.setAttribute('x1', px);
    line.setAttribute('x2', px);
    readout.textContent = at === null ? '' : `${seconds(at)} s: ${said.join(', ')}`;
  });
}
