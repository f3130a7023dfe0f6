"""A comparison as one HTML page that needs nothing else: no script, no font, no picture from anywhere."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from html import escape

import numpy as np

from musegen.evaluate.compare import Comparison, FeatureReading
from musegen.evaluate.distances import Array
from musegen.evaluate.features import bin_labels, excerpt
from musegen.evaluate.report import HEADINGS, rows, summary
from musegen.score.model import Score

BINS = 24
"""Bars of a histogram of numbers."""
WIDTH, HEIGHT, FOOT = 320, 120, 16
"""Of a chart, in the units of its drawing; FOOT holds the labels."""
ROLL_WIDTH = 1200
COLOURS = {"generated": "#d15420", "real": "#2662b0"}
"""Of the bars where the page's style is not read; the style has the same, and others for dark screens."""

STYLE = """
:root { color-scheme: light dark; --ink: #1e1e22; --paper: #ffffff; --faint: #6b6b75; --line: #d9dae0;
  --generated: #d15420; --real: #2662b0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8ec; --paper: #17181c; --faint: #a0a0aa; --line: #3a3b44;
  --generated: #ff9a6b; --real: #7db2f5; } }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1.2rem; }
figure { margin: 0 0 1rem; } figcaption { font-size: .85rem; } figcaption small { color: var(--faint); }
svg { width: 100%; height: auto; } svg text { font: 9px system-ui, sans-serif; fill: var(--faint); }
svg line { stroke: var(--line); }
.generated { fill: var(--generated); fill-opacity: .55; } .real { fill: var(--real); fill-opacity: .55; }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em; }
.key.generated { background: var(--generated); } .key.real { background: var(--real); }
img { max-width: 100%; height: auto; background: #ffffff; border-radius: 4px; }
code { overflow-wrap: anywhere; } dt { color: var(--faint); }
"""


def pictures(comparison: Comparison, load: Callable[[str], Score]) -> dict[str, bytes]:
    """Piano rolls (PNG) of the best, the median and the worst generated piece, cut as they were compared.

    `load` reads a piece by its name in the table.
    """
    from musegen.render.image import piano_roll, to_png

    return {
        word: to_png(piano_roll(excerpt(load(name), comparison.generated.bars), width=ROLL_WIDTH))
        for word, name, _ in comparison.chosen
    }


def html_page(
    comparison: Comparison, *, title: str, pictures: Mapping[str, bytes], made: Sequence[tuple[str, str]]
) -> str:
    """The page.

    Args:
        comparison: what it tells.
        title: its heading.
        pictures: PNG files of the pieces that `comparison.chosen` names, by "best", "median" and "worst".
        made: (word, text) of how it was made: the command, versions.
    """
    c = comparison
    charts = "".join(_chart(c, feature) for feature in c.features)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{"".join(f"<p>{escape(line)}</p>" for line in summary(c))}
<h2>Features</h2>
<p>What the classifier leans on most comes first. In brackets: the same figure of real against real. Overlap is 1 for
sets that are alike; KL (nats) is 0. AUC of it alone is how often a generated piece has the greater value, 0.5 for
sets that are alike. Leans on it: how far the probability that the
classifier gives the right set falls when the feature is shuffled. Too few: not enough pieces of both sets have it.</p>
<div class="wide">{_table(rows(c))}</div>
<h2>Generated against real</h2>
<p><span class="key generated"></span>generated (orange)<span class="key real"></span>real (blue). A bar is the share
of a set's pieces, or of their notes, in that bin; the tallest fills the chart. A feature that no piece of one set has
is not drawn.</p>
<div class="charts">{charts}</div>
<h2>Three pieces</h2>
<p>By the chance that the classifier, trained without the piece, gives it of being real.</p>
{"".join(_roll(word, name, likeness, pictures[word]) for word, name, likeness in c.chosen)}
<h2>Left out</h2>
{_skipped("generated", c.generated.skipped)}{_skipped("real", c.reference.skipped)}
<h2>How this was made</h2>
<dl>{"".join(f"<dt>{escape(word)}</dt><dd><code>{escape(text)}</code></dd>" for word, text in made)}</dl>
</body>
</html>
"""


def _table(cells: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in HEADINGS)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in cells)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _roll(word: str, name: str, likeness: float, png: bytes) -> str:
    data = base64.b64encode(png).decode("ascii")
    caption = f"{word}: {escape(name)} <small>({100 * likeness:.0f} %)</small>"
    return (
        f'<figure><figcaption>{caption}</figcaption><img alt="Piano roll of {escape(name)}" '
        f'src="data:image/png;base64,{data}"></figure>\n'
    )


def _skipped(word: str, skipped: Mapping[str, str]) -> str:
    if not skipped:
        return f"<p>Of the {word} pieces, none.</p>"
    items = "".join(f"<li>{escape(name)}: {escape(reason)}</li>" for name, reason in skipped.items())
    return f"<details><summary>Of the {word} pieces, {len(skipped)}</summary><ul>{items}</ul></details>"


# ---- charts ------------------------------------------------------------------------------------------------


def _chart(comparison: Comparison, feature: FeatureReading) -> str:
    """One feature of both sets, or nothing where a set has none of it."""
    x, y = (table.values(feature.name) for table in (comparison.generated, comparison.reference))
    if not len(x) or not len(y):
        return ""
    if x.ndim == 2:
        labels: Sequence[str] = bin_labels(feature.name, x.shape[1])
        heights = np.stack((x.mean(0), y.mean(0)))
    else:
        edges = _edges(np.concatenate((x, y)))
        heights = np.stack([np.histogram(values, edges)[0] / len(values) for values in (x, y)])
        labels = [f"{edges[0]:.3g}", *[""] * (len(edges) - 3), f"{edges[-1]:.3g}"]
    unit = f" <small>({escape(feature.unit)})</small>" if feature.unit else ""
    caption = f"<figcaption>{escape(feature.name)}{unit}</figcaption>"
    return f"<figure>{caption}{_bars(feature.name, heights, labels)}</figure>\n"


def _edges(values: Array) -> Array:
    low, high = float(values.min()), float(values.max())
    return np.linspace(low, high if high > low else low + 1, BINS + 1)


def _bars(name: str, heights: Array, labels: Sequence[str]) -> str:
    """Overlaid bars of both sets, (2, n) heights, as SVG; as many labels below as there is room for."""
    n = heights.shape[1]
    width, tallest = WIDTH / n, float(heights.max()) or 1.0
    parts = []
    for kind, row in zip(("generated", "real"), heights / tallest * (HEIGHT - 4), strict=True):
        bars = "".join(
            f'<rect x="{i * width:.1f}" y="{HEIGHT - h:.1f}" width="{width:.1f}" height="{h:.1f}"/>'
            for i, h in enumerate(row.tolist())
            if h > 0.05
        )
        parts.append(f'<g class="{kind}" fill="{COLOURS[kind]}" fill-opacity=".55">{bars}</g>')
    every = max(1, -(-n // 13))
    for i, label in enumerate(labels):
        anchor = "start" if i == 0 else "end" if i == n - 1 else "middle"
        x = {"start": 0.0, "end": float(WIDTH)}.get(anchor, (i + 0.5) * width)
        if label and ((i % every == 0 and i + every < n) or i == n - 1):
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT + 11}" text-anchor="{anchor}">{escape(label)}</text>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + FOOT}" width="{WIDTH}" height="{HEIGHT + FOOT}" font-size="9" '
        f'role="img" aria-label="{escape(name)}, generated and real">'
        f'<line x1="0" y1="{HEIGHT}" x2="{WIDTH}" y2="{HEIGHT}" stroke="#808080"/>{"".join(parts)}</svg>'
    )
