(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const below = (node) => {
    const shape = node.parentNode.querySelector(':scope > rect.pill, :scope > rect.span');
    const under = node.matches('text.wave-no') ? node.previousElementSibling : node.matches('text') && shape;
    if (under) return getComputedStyle(under).fill;
    for (let at = node; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (rgba(color)[3] === 255) return color;
    }
    return 'white';
  };
  let worst = [21, 'nothing'];
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
    if (!own || !node.checkVisibility() || node.matches('script, noscript, title, .sr, .sr *, .skip, option')) continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(rgba(node.matches('text') ? style.fill : style.color)), light(rgba(below(node)))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < worst[0]) worst = [contrast, `${node.outerHTML.slice(0, 200)} on ${below(node)}`];
  }
  return worst;
})()
