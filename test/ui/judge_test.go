//go:build uitest

package ui_test

// judge is a script that gives what is wrong with the page that is open, a
// sentence each: labels, headings, tables, contrast (WCAG AA), width.
const judge = `(() => {
  const wrong = [];
  const name = (e) => e.tagName.toLowerCase() + (e.className ? '.' + String(e.className.baseVal ?? e.className).replaceAll(' ', '.') : '') + ' "' + e.textContent.trim().slice(0, 30) + '"';
  if (document.querySelectorAll('h1').length !== 1) wrong.push('it has not exactly one h1');
  if (!document.title || document.documentElement.lang !== 'en') wrong.push('title or language is missing');
  if (document.documentElement.scrollWidth > innerWidth) wrong.push('it is ' + document.documentElement.scrollWidth + ' wide in ' + innerWidth);
  for (const e of document.querySelectorAll('input:not([type=hidden]), select, textarea')) {
    if (!e.labels.length) wrong.push(name(e) + ' has no label');
  }
  for (const e of document.querySelectorAll('button, a')) {
    if (!e.textContent.trim() && !e.getAttribute('aria-label')) wrong.push(name(e) + ' has no name');
  }
  for (const e of document.querySelectorAll('table')) {
    if (!e.querySelector('th[scope=col]') || !e.querySelector('th[scope=row]')) wrong.push(name(e) + ' has no headers');
  }
  for (const e of document.querySelectorAll('svg')) {
    if (e.getAttribute('aria-hidden') !== 'true' && !e.getAttribute('aria-label')) wrong.push(name(e) + ' has no text alternative');
  }
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (c) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); const d = canvas.getImageData(0, 0, 1, 1).data; return [d[0], d[1], d[2], d[3] / 255]; };
  const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const ground = (e) => { const stack = []; for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); stack.push(c); if (c[3] === 1) break; } return stack.reverse().reduce((b, a) => over(a, b), [255, 255, 255, 1]); };
  const light = (c) => { const l = c.slice(0, 3).map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * l[0] + .7152 * l[1] + .0722 * l[2]; };
  for (const e of document.querySelectorAll('body *')) {
    if (e.closest('svg') || ![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
    const style = getComputedStyle(e), box = e.getBoundingClientRect();
    if (!box.width || box.width < 2 || style.visibility === 'hidden' || e.closest('.sr, .skip')) continue;
    const b = ground(e), f = over(rgba(style.color), b), x = light(f), y = light(b);
    const ratio = (Math.max(x, y) + .05) / (Math.min(x, y) + .05);
    const large = parseFloat(style.fontSize) >= 24 || parseFloat(style.fontSize) >= 18.66 && parseInt(style.fontWeight) >= 700;
    if (ratio < (large ? 3 : 4.5)) wrong.push(name(e) + ' has a contrast of ' + ratio.toFixed(2));
  }
  return wrong;
})()`

// focusOrder presses nothing: it gives what the Tab key would come to, in the
// order of the document, and whether anything breaks that order.
const focusOrder = `(() => {
  const wrong = [], all = [...document.querySelectorAll('a[href], button:not(:disabled), input:not([type=hidden]), select, textarea, [tabindex]')].filter((e) => e.tabIndex >= 0 && e.checkVisibility());
  if (all.some((e) => e.tabIndex > 0)) wrong.push('something has an order of its own');
  if (!all.length || all[0].className !== 'skip') wrong.push('the first is not the skip link');
  for (const e of all) {
    e.focus({ focusVisible: true });
    if (document.activeElement !== e) wrong.push(e.outerHTML.slice(0, 60) + ' takes no focus');
    else if (getComputedStyle(e).outlineStyle === 'none') wrong.push(e.outerHTML.slice(0, 60) + ' shows no focus');
  }
  return wrong;
})()`
