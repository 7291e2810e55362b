
// What an engine said of its sender: congestion window, threshold and what was in flight over
// time, its states behind them, round-trip times below.

const SENDER_KEYS = [['cwnd', 'cwnd'], ['ssthresh', 'ssthresh'], ['in-flight', 'in flight']];
const SENDER_STATES = ['disorder', 'cwr', 'recovery', 'loss'];

/** One sender's drawing; nothing where it said less than two things. */
function senderPlot(words, title, width) {
  if (words.length < 2) return null;
  const [w, h, mx, my, gap, below] = [width, 220, 62, 26, 14, 84];
  const [t0, t1] = [words[0][0], words[words.length - 1][0]];
  const windows = [1, 2, 3].map((n) => words.filter((word) => word[n] >= 0).map((word) => [word[0], word[n]]));
  // A threshold far above everything would press the rest to the ground.
  const top = Math.max(1, ...windows[0].map(([, v]) => v), ...windows[2].map(([, v]) => v)) * 1.08;
  const x = (t) => mx + (w - mx - 8) * (t - t0) / (t1 - t0 || 1);
  const y = (v) => h - my - (h - my - 8) * Math.min(v, top) / top;
  const root = svg('svg', { width: w, height: h + gap + below, viewBox: `0 0 ${w} ${h + gap + below}`, role: 'img', 'aria-label': `${title}: congestion window over time` });
  words.forEach((word, n) => {
    if (!SENDER_STATES.includes(word[5])) return;
    const to = n + 1 < words.length ? words[n + 1][0] : t1;
    root.append(svg('rect', { class: `c-state ${word[5]}`, x: r1(x(word[0])), y: 4, width: r1(Math.max(1, x(to) - x(word[0]))), height: h - my - 4 },
      svg('title', {}, word[5])));
  });
  axes(root, { t0, t1, floor: 0, top, x, y, w, h, mx, my });
  windows.forEach((line, n) => root.append(svg('path', { class: `c-${SENDER_KEYS[n][0]}`, d: until(steps(line, x, y), x(t1)) })));
  rounds(root, words, { x, top: h + gap, below, mx, w });
  const readout = el('p', { class: 'readout' });
  senderHover(root, readout, words, { x, w, mx, bottom: h + gap + below });
  const key = (kind, text) => el('span', { class: `key ${kind}` }, text);
  const seen = SENDER_STATES.filter((state) => words.some((word) => word[5] === state));
  const keys = [...SENDER_KEYS.filter((_, n) => windows[n].length).map(([kind, text]) => key(`c-${kind}`, text)), key('c-rtt', 'round trip (below)'),
    ...seen.map((state) => key(`c-${state}`, state))];
  return el('div', { class: 'draw' }, el('h3', {}, title), root, el('p', { class: 'legend' }, ...keys), readout, senderList(words));
}

/** A line of steps goes on to the end. */
const until = (path, x) => (path ? `${path}H${r1(x)}` : path);

function rounds(root, words, { x, top, below, mx, w }) {
  const line = words.filter((word) => word[4] > 0).map((word) => [word[0], word[4]]);
  if (!line.length) return;
  const most = Math.max(...line.map(([, v]) => v)) * 1.1;
  const y = (v) => top + below - 6 - (below - 14) * v / most;
  for (const v of ticks(0, most, 3)) {
    root.append(svg('line', { class: 'tickline', x1: mx, x2: w - 4, y1: y(v), y2: y(v) }),
      svg('text', { class: 'dim', x: mx - 6, y: y(v) + 4, 'text-anchor': 'end' }, span(v)));
  }
  root.append(svg('path', { class: 'c-rtt', d: until(steps(line, x, y), x(words[words.length - 1][0])) }),
    svg('path', { class: 'axis', fill: 'none', d: `M${mx} ${top}V${top + below - 6}H${w - 4}` }));
}

/** Says what held at the pointer: the word before it. */
function senderHover(root, readout, words, { x, w, mx, bottom }) {
  const line = svg('line', { class: 'p-cross', y1: 4, y2: bottom, x1: -9, x2: -9 });
  root.append(line);
  const leave = () => { line.setAttribute('x1', -9); line.setAttribute('x2', -9); readout.textContent = ''; };
  root.addEventListener('pointerleave', leave);
  root.addEventListener('pointermove', (event) => {
    const box = root.getBoundingClientRect();
    const px = (event.clientX - box.left) * w / box.width;
    if (px < mx) return leave();
    const word = words.filter((one) => x(one[0]) <= px + 1).pop() ?? words[0];
    line.setAttribute('x1', px);
    line.setAttribute('x2', px);
    readout.textContent = `${seconds(word[0])} s: ${senderWords(word)}`;
  });
}

const senderWords = ([, cwnd, ssthresh, inFlight, rtt, state]) => `${state}, cwnd ${bytes(cwnd)}${ssthresh < 0 ? '' : `, ssthresh ${bytes(ssthresh)}`}, `
  + `in flight ${bytes(inFlight)}, round trip ${span(rtt)}`;

/** The turns of a sender in words, for those who do not see the drawing. */
function senderList(words) {
  const turns = words.filter((word, n) => n === 0 || n + 1 === words.length || word[5] !== words[n - 1][5]);
  return el('ol', { class: 'sr' }, ...turns.map((word) => el('li', {}, `${seconds(word[0])} s: ${senderWords(word)}`)));
}
