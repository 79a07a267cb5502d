"""Checks a page in a browser against what WCAG 2.2 AA asks and a program can tell."""

from __future__ import annotations

from selenium.webdriver import Chrome

LEAST_CONTRAST, LEAST_LARGE_CONTRAST = 4.5, 3.0

_CHECKS = r"""
const shown = e => e.checkVisibility({opacityProperty: true}) && e.getBoundingClientRect().width > 1;
const text = e => e.outerHTML.slice(0, 90);
const all = query => [...document.querySelectorAll(query)];
const found = [];
const demand = (is, what, e) => { if (!is) found.push(`${what}: ${text(e)}`); };

demand(document.documentElement.lang, "no language", document.documentElement);
demand(document.title, "no title", document.head);
demand(all("main").length == 1, "not one main", document.body);
demand(all("h1").filter(shown).length == 1, "not one first heading", document.body);
let level = 0;
for (const e of all("h1, h2, h3, h4").filter(e => e.checkVisibility())) {
  demand(+e.tagName[1] <= level + 1, "a level of headings left out", e);
  demand(e.textContent.trim(), "an empty heading", e);
  level = +e.tagName[1];
}
for (const e of all("input:not([type=hidden]), select, textarea"))
  demand(!e.checkVisibility() || e.labels.length || e.ariaLabel, "a field without a label", e);
for (const e of all("a[href], button, summary")) demand(e.textContent.trim() || e.ariaLabel, "no words on it", e);
for (const e of all("svg, img")) demand(e.closest("[aria-hidden=true], [role=img][aria-label]"), "no words for it", e);
for (const e of all("table")) {
  demand(e.querySelector("th[scope=col]"), "a table without headers", e);
  for (const row of e.querySelectorAll("tbody tr")) demand(row.querySelector("th[scope=row], td"), "an empty row", row);
}
for (const e of all("[aria-labelledby], [aria-describedby]"))
  for (const name of ["aria-labelledby", "aria-describedby"])
    for (const id of (e.getAttribute(name) || "").split(" ").filter(Boolean))
      demand(document.getElementById(id), "named by what is not there", e);
const ids = all("[id]").map(e => e.id);
demand(new Set(ids).size == ids.length, "an id twice", document.body);
for (const e of all("a[href], button, summary").filter(shown)) {
  const box = e.getBoundingClientRect();
  const inline = e.tagName == "A" && getComputedStyle(e).display == "inline";
  demand(inline || (box.height >= 24 && box.width >= 24), "too small to hit", e);
}

const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
const seen = colours => {
  canvas.fillStyle = "#fff"; canvas.fillRect(0, 0, 1, 1);
  for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
};
const light = rgb => rgb.map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = e => e ? [...behind(e.parentElement), getComputedStyle(e).backgroundColor] : [];
for (const e of all("body *").filter(e => !e.closest("svg") && shown(e))) {
  if (![...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim())) continue;
  const style = getComputedStyle(e), ground = behind(e);
  const [dim, bright] = [light(seen(ground)), light(seen([...ground, style.color]))].sort((a, b) => a - b);
  const size = parseFloat(style.fontSize), isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  const contrast = (bright + 0.05) / (dim + 0.05);
  demand(contrast >= (isLarge ? arguments[1] : arguments[0]), `a contrast of ${contrast.toFixed(1)}`, e);
}
return found;
"""


def barriers(browser: Chrome) -> list[str]:
    """Return what on the page would keep somebody out: language, headings, names, sizes and contrasts."""
    found: list[str] = browser.execute_script(_CHECKS, LEAST_CONTRAST, LEAST_LARGE_CONTRAST)
    return found
