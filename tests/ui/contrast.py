"""Whether texts can be read: their contrast against what lies behind them."""

from __future__ import annotations

from playwright.sync_api import Locator

# WCAG 2.2, 1.4.3: the ratio of the relative luminances; 3 for large texts and for signs (1.4.11), 4.5 for all others.
_FAINT = """root => {
  const numbers = text => {
    const found = (text.match(/[\\d.]+/g) || []).map(Number);
    // A mixed colour is told in shares of one, all others in parts of 255.
    return text.startsWith('color(') ? found.map((part, at) => (at < 3 ? part * 255 : part)) : found;
  };
  const mix = ([r, g, b, a = 1], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a)];
  const behind = node => {
    if (!node) return [255, 255, 255];
    const color = numbers(getComputedStyle(node).backgroundColor);
    return color.length === 3 ? color : mix(color, behind(node.parentElement));
  };
  const luminance = color => color
    .map(part => part / 255)
    .map(part => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const found = [];
  for (const node of root.querySelectorAll('*')) {
    const text = [...node.childNodes].filter(child => child.nodeType === 3).map(child => child.data.trim()).join('');
    if (!text || !node.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    if (node.closest('svg, .CodeMirror, .cm-editor, .jp-RenderedHTMLCommon pre') || node.closest(':disabled')) continue;
    const style = getComputedStyle(node);
    const ground = behind(node);
    const [a, b] = [luminance(mix(numbers(style.color), ground)), luminance(ground)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const isLarge = node.role === 'img' || parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) found.push(`${text.slice(0, 40)}: ${ratio.toFixed(1)}`);
  }
  return found;
}"""


def faint_texts(root: Locator) -> list[str]:
    """Return the texts below ``root`` that are hard to read, each with its contrast."""
    found: list[str] = root.evaluate(_FAINT)
    return found
