
// The page: list, search, keys, the address; details are unpacked when they are wanted.
(async () => {
  const $ = (id) => document.getElementById(id);
  const say = (text) => { $('message').textContent = text; $('message').hidden = false; };
  const HEIGHT = 60;
  const AHEAD = 8;
  const KEPT = 12;

  async function unpack(id) {
    const packed = Uint8Array.from(atob($(id).textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
    return new Response(stream).json();
  }
  if (!('DecompressionStream' in window)) {
    say('This browser cannot unpack the connections (no DecompressionStream); one from 2023 or later can.');
    return;
  }
  let index;
  try {
    index = await unpack('index');
  } catch (error) {
    say(`The list of connections cannot be unpacked: the file is damaged (${error.message}).`);
    return;
  }
  const { states, kinds } = index;
  const SEVERITY = { error: 3, warning: 2, note: 1 };
  const plain = (text) => text.toLowerCase().replaceAll('_', '-');
  const all = index.connections.map(([conn, block, client, server, opened, lasted, end, bits, first, size, retransmitted, anomalies, lasts]) => {
    const worst = anomalies.reduce((best, one) => (best === null || SEVERITY[kinds[one].severity] > SEVERITY[kinds[best].severity] ? one : best), null);
    return { conn, block, client, server, opened, lasted, end, bits, first, size, retransmitted, anomalies, lasts, worst, text: null };
  });
  const byConn = new Map(all.map((one) => [one.conn, one]));

  /** Everything that the words of a search are looked for in. */
  function haystack(one) {
    one.text ??= plain([`${one.client} ${one.server} #${one.conn} ${one.end}`,
      one.first && `closed-first:${one.first}`, one.retransmitted > 0 && 'retransmitted',
      ...states.filter((_, n) => one.bits & (1 << n)),
      ...one.anomalies.flatMap((n) => [kinds[n].name, kinds[n].title, kinds[n].severity])].filter(Boolean).join(' '));
    return one.text;
  }
  function test(words) {
    const tests = plain(words).split(/\s+/).filter(Boolean).map((word) => {
      if (/^:\d+$/.test(word)) return (one) => one.client.endsWith(word) || one.server.endsWith(word);
      if (/^#\d+$/.test(word)) return (one) => `#${one.conn}` === word;
      return (one) => haystack(one).includes(word);
    });
    return (one) => tests.every((passes) => passes(one));
  }

  // What is chosen, and the list that follows from it.
  const chosen = { q: '', ends: new Set(), kinds: new Set(), sort: 'time', reverse: false, conn: null };
  let shown = [];
  const text = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  const ORDER = {
    time: (a, b) => a.opened - b.opened,
    worst: (a, b) => severity(b) - severity(a) || b.anomalies.length - a.anomalies.length,
    lasted: (a, b) => b.lasted - a.lasted,
    bytes: (a, b) => b.size[0] + b.size[1] - a.size[0] - a.size[1],
    retransmitted: (a, b) => b.retransmitted - a.retransmitted,
    client: (a, b) => text(a.client, b.client),
    server: (a, b) => text(a.server, b.server),
    end: (a, b) => text(a.end, b.end),
  };
  const severity = (one) => (one.worst === null ? 0 : SEVERITY[kinds[one.worst].severity]);

  function choose() {
    const passes = test(chosen.q);
    const wanted = [...chosen.kinds].map((name) => kinds.findIndex((kind) => kind.name === name));
    shown = all.filter((one) => (chosen.ends.size === 0 || chosen.ends.has(one.end))
      && wanted.every((n) => one.anomalies.includes(n)) && passes(one));
    const order = ORDER[chosen.sort] ?? ORDER.time;
    shown.sort((a, b) => order(a, b) || a.conn - b.conn);
    if (chosen.reverse) shown.reverse();
    const part = shown.length === all.length ? '' : ` of ${count(all.length)}`;
    $('matches').textContent = shown.length === 1 && !part ? '1 connection' : `${count(shown.length)}${part} connections`;
    for (const button of document.querySelectorAll('[data-end]')) button.setAttribute('aria-pressed', chosen.ends.has(button.dataset.end));
    for (const button of document.querySelectorAll('[data-kind]')) button.setAttribute('aria-pressed', chosen.kinds.has(button.dataset.kind));
    chips();
    $('space').style.height = `${shown.length * HEIGHT}px`;
    paint(true);
  }

  function chips() {
    const counts = new Map();
    for (const one of all) counts.set(one.end, (counts.get(one.end) ?? 0) + 1);
    const ends = [...counts].sort((a, b) => b[1] - a[1]);
    const chip = (attribute, name, label, on) => el('button', { type: 'button', [attribute]: name, 'aria-pressed': on ? 'true' : 'false' }, label);
    const focused = document.activeElement?.closest('#chips button');
    const key = focused && (focused.dataset.end ?? focused.dataset.kind);
    $('chips').replaceChildren(
      ...[...chosen.kinds].map((name) => chip('data-kind', name, `${kinds.find((kind) => kind.name === name)?.title ?? name} ✕`, true)),
      ...(ends.length > 1 || chosen.ends.size ? ends.map(([name, n]) => chip('data-end', name, `${name} ${count(n)}`, chosen.ends.has(name))) : []));
    if (key) [...$('chips').children].find((one) => (one.dataset.end ?? one.dataset.kind) === key)?.focus();
  }

  // Only what is in sight of the list exists.
  let painted = [-1, -1];
  function paint(anew) {
    const list = $('list');
    const from = Math.max(0, Math.floor(list.scrollTop / HEIGHT) - AHEAD);
    const to = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / HEIGHT) + AHEAD);
    if (!anew && painted[0] === from && painted[1] === to) return;
    painted = [from, to];
    $('space').replaceChildren(...shown.slice(from, to).map((one, n) => item(one, from + n)));
    const active = $(`conn-${chosen.conn}`);
    if (active) list.setAttribute('aria-activedescendant', active.id);
    else list.removeAttribute('aria-activedescendant');
  }

  function item(one, place) {
    const worst = one.worst === null ? null : kinds[one.worst];
    const more = one.anomalies.length > 1 ? ` +${one.anomalies.length - 1}` : '';
    const row = el('div', { class: 'item', role: 'option', id: `conn-${one.conn}`, 'data-conn': one.conn,
      'aria-selected': one.conn === chosen.conn ? 'true' : 'false', 'aria-posinset': place + 1, 'aria-setsize': shown.length },
    el('div', {}, el('span', { class: 'ends', title: `${one.client} → ${one.server}` }, `${one.client} → ${one.server}`),
      el('span', { class: `badge end-text-${one.end}` }, one.end)),
    el('div', { class: 'sub' }, el('span', {}, `#${one.conn}`), el('span', { title: 'lifetime' }, one.lasts),
      el('span', { title: 'bytes by the client and the server' }, `${bytes(one.size[0])} ↑ ${bytes(one.size[1])} ↓`),
      worst && el('span', { class: `anomaly-name w-${worst.severity}`, title: worst.title }, `${worst.title}${more}`)));
    row.style.top = `${place * HEIGHT}px`;
    return row;
  }

  function reveal() {
    const place = shown.findIndex((one) => one.conn === chosen.conn);
    if (place < 0) return;
    const list = $('list');
    const top = place * HEIGHT;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = top + HEIGHT - list.clientHeight;
    paint(true);
  }

  // Details.
  const blocks = new Map();
  async function detailOf(one) {
    let block = blocks.get(one.block);
    if (!block) block = unpack(`b${one.block}`);
    blocks.delete(one.block);
    blocks.set(one.block, block);
    if (blocks.size > KEPT) blocks.delete(blocks.keys().next().value);
    return (await block)[one.conn];
  }

  let current = null;
  async function open(conn, focus) {
    const one = byConn.get(conn);
    chosen.conn = conn;
    document.body.dataset.screen = 'detail';
    reveal();
    address();
    if (!one) {
      current = null;
      $('detail').replaceChildren(el('h1', { id: 'detail-title' }, `Connection ${conn}`), el('p', {}, 'It is not in this page.'));
      return;
    }
    try {
      const detail = await detailOf(one);
      if (chosen.conn !== conn) return;
      current = { one, detail };
      render();
      $('detail').scrollTop = 0;
      if (focus) $('detail').focus({ preventScroll: true });
    } catch (error) {
      say(`Connection ${conn} cannot be shown: ${error.message}`);
      throw error;
    }
  }

  const card = (title, ...children) => el('section', { class: 'card' }, el('h2', {}, title), ...children);

  function render() {
    const { one, detail } = current;
    const pane = $('detail');
    const heading = el('div', { class: 'head' },
      el('button', { type: 'button', class: 'back', onclick: () => back() }, '← List'),
      el('h1', { id: 'detail-title' }, `${detail.titles[0]} → ${detail.titles[1]}`),
      el('span', { class: `badge end-text-${detail.how}` }, detail.how),
      el('span', { class: 'step' },
        el('button', { type: 'button', class: 'icon', 'aria-label': 'Previous connection', title: 'Previous (k)', onclick: () => move(-1, true) }, '↑'),
        el('button', { type: 'button', class: 'icon', 'aria-label': 'Next connection', title: 'Next (j)', onclick: () => move(1, true) }, '↓'),
        el('button', { type: 'button', class: 'icon', 'aria-label': 'Close', title: 'Overview (Esc)', onclick: () => overview() }, '✕')));
    pane.replaceChildren(heading,
      el('p', { class: 'dim' }, `connection ${detail.conn}${detail.middle ? ', seen in mid-stream' : ''}, ${detail.at}`),
      el('p', { class: 'why' }, sentence(detail.why)));
    if (detail.found.length) pane.append(card('Anomalies', anomalies(detail.found)));
    const drawings = el('div', { class: 'draw' });
    const times = el('div', { class: 'draw' });
    const plots = el('div', { class: 'plots' });
    pane.append(card('Ladder', drawings), card('States over time', times, timelineWords(detail, states)));
    const plotted = card('Sequence numbers over time', plots);
    const windows = el('div', { class: 'plots' });
    const windowed = card('Congestion window over time, by the engine', windows);
    pane.append(plotted, windowed, el('div', { class: 'plots' }, card('In short', facts(detail)), card('Metrics', metrics(detail))));
    drawings.append(el('div'), ladderWords(detail, states));
    current.draw = () => {
      const room = (node) => Math.max(260, Math.floor(node.clientWidth));
      drawings.firstChild.replaceWith(ladder(detail, states, Math.min(room(drawings), 1100)));
      times.replaceChildren(timeline(detail, states, room(times)));
      plotsOf(plotted, plots, room, ['client to server', 'server to client'], detail.points ?? [], plot);
      plotsOf(windowed, windows, room, ['the client sends', 'the server sends'], detail.senders, senderPlot);
    };
    current.width = pane.clientWidth;
    current.draw();
  }

  /** Each end's drawing in a column of a card, which goes where there is none. */
  function plotsOf(whole, plots, room, titles, ends, draw) {
    if (!whole.isConnected) return;
    const column = Math.floor(parseFloat(getComputedStyle(plots).gridTemplateColumns));
    const width = Math.max(260, column || room(plots));
    const drawn = ends.map((points, end) => draw(points, titles[end], width)).filter(Boolean);
    plots.replaceChildren(...drawn);
    if (!drawn.length) whole.remove();
  }

  const facts = (detail) => el('dl', { class: 'facts' }, ...detail.facts.flatMap(([name, words]) => [el('dt', {}, name), el('dd', {}, words)]));

  function metrics(detail) {
    const line = ([name, client, server]) => el('tr', {}, el('td', { class: name.startsWith(' ') && 'inner' }, name.trim()),
      el('td', { class: 'number' }, client), el('td', { class: 'number' }, server));
    const title = (words) => el('th', { scope: 'col', class: 'number' }, words);
    return el('div', { class: 'scroll' }, el('table', { class: 'metrics' },
      el('thead', {}, el('tr', {}, el('th'), title('client'), title('server'))), el('tbody', {}, ...detail.metrics.map(line))));
  }

  /** What stands between backticks is code. */
  const said = (words) => words.split('`').map((part, n) => (n % 2 ? el('code', {}, part) : part));
  const sentence = (words) => `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;

  /** Those of one kind stand together: meaning and remedy are said once. */
  function anomalies(all) {
    const groups = new Map();
    for (const one of all) groups.set(one.kind, [...(groups.get(one.kind) ?? []), one]);
    return el('ul', { class: 'found' }, ...[...groups].map(([kind, of]) => anomaly(kinds[kind], of)));
  }

  function anomaly(kind, of) {
    const severity = `w-${kind.severity}`;
    return el('li', { class: severity },
      el('h3', {}, kind.title, ' ', el('small', { class: severity }, kind.severity)),
      ...of.flatMap((found) => [el('p', {}, ...said(sentence(found.sentence))), proof(found)]),
      el('p', { class: 'dim' }, ...said(kind.meaning)), el('p', {}, el('b', {}, 'To do: '), ...said(kind.remedy)));
  }

  function proof({ packets, times }) {
    if (!packets.length) return null;
    const more = times > packets.length ? ` and ${count(times - packets.length)} more` : '';
    const button = (packet) => el('button', { type: 'button', 'data-packet': packet }, packet);
    return el('p', { class: 'packets' }, 'packets ', ...packets.map(button), more);
  }

  function flash(packet) {
    const row = [...document.querySelectorAll('#detail .row')].find((one) => one.dataset.p === packet);
    if (!row) return;
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    row.scrollIntoView({ block: 'center', behavior: calm ? 'auto' : 'smooth' });
    document.querySelectorAll('.row.flash').forEach((one) => one.classList.remove('flash'));
    row.classList.add('flash');
  }

  // Where one is.
  const narrow = () => matchMedia('(max-width: 820px)').matches;
  function overview() {
    chosen.conn = null;
    current = null;
    document.body.dataset.screen = 'overview';
    paint(true);
    address();
  }
  function list() {
    document.body.dataset.screen = 'list';
    paint(true);
    $('list').focus({ preventScroll: true });
  }
  function back() {
    if (!narrow()) return overview();
    document.body.dataset.screen = 'list';
    paint(true);
    reveal();
    $('list').focus({ preventScroll: true });
    return undefined;
  }
  function move(by, stay) {
    if (!shown.length) return;
    const place = shown.findIndex((one) => one.conn === chosen.conn);
    const next = place < 0 ? (by > 0 ? 0 : shown.length - 1) : Math.min(shown.length - 1, Math.max(0, place + by));
    if (narrow() && !stay && document.body.dataset.screen === 'list') {
      chosen.conn = shown[next].conn;
      reveal();
    } else open(shown[next].conn);
  }

  /** The page's address says what is shown, so that it can be passed on. */
  let written = '';
  function address() {
    const say = new URLSearchParams();
    if (chosen.conn !== null) say.set('conn', chosen.conn);
    if (chosen.q) say.set('q', chosen.q);
    if (chosen.ends.size) say.set('end', [...chosen.ends].join(','));
    if (chosen.kinds.size) say.set('anomaly', [...chosen.kinds].join(','));
    if (chosen.sort !== 'time' || chosen.reverse) say.set('sort', (chosen.reverse ? '-' : '') + chosen.sort);
    const hash = say.toString();
    if (hash === written) return;
    const opens = new URLSearchParams(written).has('conn') !== say.has('conn');
    written = hash;
    history[opens ? 'pushState' : 'replaceState'](null, '', `#${hash}`);
  }
  function follow() {
    const said = new URLSearchParams(location.hash.slice(1));
    written = said.toString();
    const set = (name) => new Set((said.get(name) ?? '').split(',').filter(Boolean));
    const sort = said.get('sort') ?? 'time';
    Object.assign(chosen, { q: said.get('q') ?? '', ends: set('end'), kinds: set('anomaly'),
      sort: sort.replace(/^-/, ''), reverse: sort.startsWith('-') });
    if (!(chosen.sort in ORDER)) chosen.sort = 'time';
    $('search').value = chosen.q;
    $('sort').value = chosen.sort;
    $('reverse').setAttribute('aria-pressed', chosen.reverse);
    const conn = Number(said.get('conn'));
    choose();
    if (conn) open(conn);
    else if (document.body.dataset.screen === 'detail') { if (narrow() && chosen.conn !== null) back(); else overview(); }
    if (!conn) chosen.conn = null;
  }

  const toggle = (set, name) => { if (!set.delete(name)) set.add(name); };
  function filtered() {
    $('list').scrollTop = 0;
    choose();
    address();
  }

  $('search').addEventListener('input', (event) => { chosen.q = event.target.value; filtered(); });
  $('sort').addEventListener('change', (event) => { chosen.sort = event.target.value; filtered(); });
  $('reverse').addEventListener('click', () => {
    chosen.reverse = !chosen.reverse;
    $('reverse').setAttribute('aria-pressed', chosen.reverse);
    filtered();
  });
  $('list').addEventListener('scroll', () => requestAnimationFrame(() => paint(false)), { passive: true });
  $('list').addEventListener('click', (event) => {
    const row = event.target.closest('[data-conn]');
    if (row) open(Number(row.dataset.conn));
  });
  $('to-overview').addEventListener('click', overview);
  $('to-list').addEventListener('click', list);
  $('help').addEventListener('click', () => $('keys').showModal());
  $('theme').addEventListener('click', theme);
  document.addEventListener('click', (event) => {
    const end = event.target.closest('[data-end]');
    const kind = event.target.closest('[data-kind]');
    const q = event.target.closest('[data-q]');
    const conn = event.target.closest('a[data-conn]');
    const packet = event.target.closest('[data-packet]');
    if (end) toggle(chosen.ends, end.dataset.end);
    if (kind) toggle(chosen.kinds, kind.dataset.kind);
    if (q) { chosen.q = q.dataset.q; $('search').value = chosen.q; }
    if (end || kind || q) {
      filtered();
      if (narrow() && event.target.closest('#overview')) list();
    }
    if (conn) { event.preventDefault(); open(Number(conn.dataset.conn), true); }
    if (packet) flash(packet.dataset.packet);
  });
  window.addEventListener('hashchange', follow);
  window.addEventListener('popstate', follow);
  new ResizeObserver(() => {
    paint(false);
    const width = $('detail').clientWidth;
    if (current?.draw && width && width !== current.width) { current.width = width; current.draw(); }
  }).observe(document.querySelector('main'));
  window.addEventListener('beforeprint', () => { if (current?.draw) current.draw(); });

  function theme() {
    const dark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    document.documentElement.dataset.theme = dark ? 'light' : 'dark';
    try {
      localStorage.setItem('fourwave-theme', document.documentElement.dataset.theme);
    } catch { /* No storage here: the choice holds until the page is closed. */ }
  }

  const page = () => Math.max(1, Math.floor($('list').clientHeight / HEIGHT) - 1);
  const KEYS = {
    '/': () => { if (narrow()) document.body.dataset.screen = 'list'; $('search').focus(); $('search').select(); },
    '?': () => $('keys').showModal(),
    j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1),
    o: () => overview(), t: () => theme(),
    Escape: () => { if (document.body.dataset.screen === 'detail') { back(); $('list').focus({ preventScroll: true }); } else if (narrow()) overview(); },
  };
  const IN_LIST = { Home: () => move(-Infinity), End: () => move(Infinity), PageDown: () => move(page()), PageUp: () => move(-page()),
    Enter: () => { if (chosen.conn !== null) open(chosen.conn, true); else move(1); } };

  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $('keys').open) return;
    const target = event.target;
    const arrows = event.key.startsWith('Arrow');
    if (target === $('search')) {
      if (event.key === 'Escape') { if (chosen.q) { chosen.q = ''; target.value = ''; filtered(); } else $('list').focus({ preventScroll: true }); }
      else if (event.key === 'Enter') { $('list').focus({ preventScroll: true }); if (shown.length) { if (!shown.some((one) => one.conn === chosen.conn)) chosen.conn = shown[0].conn; open(chosen.conn); } }
      else if (event.key === 'ArrowDown') { $('list').focus({ preventScroll: true }); move(1); }
      else return;
      event.preventDefault();
      return;
    }
    if (target.matches('select, input, textarea')) return;
    // In the detail, arrows scroll, as everywhere.
    if (arrows && target.closest('#detail, #overview')) return;
    const act = (target === $('list') ? IN_LIST[event.key] : undefined) ?? KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  follow();
  // The first search finds its words ready.
  setTimeout(() => all.forEach(haystack), 200);
  document.documentElement.dataset.ready = 'yes';
})();
