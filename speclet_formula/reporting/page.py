"""Pieces of HTML and the page around them: every text is escaped here, and nothing here knows what a fit is.

The page forbids itself scripts and any request.
"""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import replace
from html import escape
from itertools import count

from speclet_formula.common.table import Table
from speclet_formula.reporting.plots.picture import DPI, Picture, panel_images, png_bytes, png_size

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
PIXELS = 92  # of a page for an inch of a picture: its letters are then about as large as the text's
COLUMN = 480  # pixels: pictures up to here are left whole, their panels below each other
NARROW = 640  # pixels: pictures of one panel up to here are shrunk to a phone's width, wider ones scroll in a box
SMALL = 200  # pixels: of panels up to here two stand beside each other on a phone

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #ffffff; --soft: #f2f4f6; --line: #8a8f94; --link: #0b5cad;
  --good: #0b6e4f; --care: #8a5a00; --bad: #b00020; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #16181a; --soft: #24282c; --line: #7d848a;
  --link: #8ec5ff; --good: #6fd3a8; --care: #f0c060; --bad: #ff8f9a; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1rem; max-width: 62rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0 1rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 2px solid var(--line); }
h3 { font-size: 1.08rem; margin: 1.75rem 0 .5rem; }
p, ul, dl, pre { margin: .6rem 0; max-width: 44rem; }
a { color: var(--link); }
a:focus-visible, .box:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -100vw; }
.skip:focus { position: static; }
.verdict { border-left: .4rem solid var(--line); background: var(--soft); padding: .6rem .9rem; margin: .6rem 0;
  max-width: 44rem; }
.verdict.converged { border-color: var(--good); }
.verdict.doubtful, .verdict.singular { border-color: var(--care); }
.verdict.failed { border-color: var(--bad); }
.verdict p { margin: .3rem 0; }
/* Shadows at the ends say that there is more to scroll to: the covers move along, the shadows stay. */
.box { overflow-x: auto; width: fit-content; max-width: 100%; margin: .8rem 0 .3rem;
  background: linear-gradient(to right, var(--paper) 30%, transparent) left / 2rem 100% local,
    linear-gradient(to left, var(--paper) 30%, transparent) right / 2rem 100% local,
    linear-gradient(to right, var(--line), transparent) left / .6rem 100% scroll,
    linear-gradient(to left, var(--line), transparent) right / .6rem 100% scroll;
  background-repeat: no-repeat; }
.panels { display: flex; flex-wrap: wrap; gap: .2rem; align-items: flex-start; }
.panels .row { flex-basis: 100%; }
.panels .small { max-width: calc(50% - .2rem); }
.note { font-size: .9rem; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
caption { text-align: left; font-weight: 600; padding-bottom: .35rem; }
th, td { padding: .25rem .7rem .25rem 0; text-align: right; vertical-align: top; border-bottom: 1px solid var(--soft); }
th:first-child, .gt_left { text-align: left; }
thead th { border-bottom: 1px solid var(--line); white-space: nowrap; }
tbody td { white-space: nowrap; }
tbody th { font-weight: 400; min-width: 6rem; max-width: 22rem; }
td.gt_left { white-space: normal; min-width: 5rem; }
.gt_column_spanner_outer { text-align: center; }
th.gt_group_heading { text-align: left; font-weight: 600; padding-top: .6rem; max-width: none; }
td.long { white-space: normal; min-width: 14rem; text-align: left; }
dt { font-weight: 600; }
dd { margin: 0 0 .4rem 0; }
pre { background: var(--soft); padding: .7rem .9rem; font-size: .9rem; line-height: 1.45; white-space: pre-wrap;
  overflow-wrap: anywhere; max-width: none; }
figure { margin: 1rem 0; }
figcaption { font-size: .9rem; max-width: 44rem; }
img { display: block; max-width: 100%; height: auto; background: #ffffff; }
img.wide { max-width: none; }
@media (min-width: 44rem) { img.wide { max-width: 100%; } }
@media (max-width: 30rem) { body { padding: .75rem; } table { font-size: .8rem; } caption { font-size: .92rem; }
  th, td { padding-right: .45rem; } thead th { white-space: normal; } tbody th { min-width: 3.5rem; }
  pre { font-size: .8rem; padding: .6rem; } }
@media print { body { max-width: none; font-size: 10pt; } .box, pre { overflow: visible; } nav, .skip { display: none; }
  img.wide { max-width: 100%; } table { font-size: 8pt; } figure, tr { break-inside: avoid; }
  h2, h3 { break-after: avoid; } thead { display: table-header-group; } }
"""


def page(title: str, body: str) -> str:
    """Return the whole document.

    Parameters
    ----------
    title : str
        Text; it is escaped.
    body : str
        HTML of header, navigation, main part and foot.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n<style>{STYLE}</style>\n</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def section(ident: str, title: str, *parts: str) -> str:
    """Return a landmark with its heading."""
    inside = "\n".join(part for part in parts if part)
    return f'<section aria-labelledby="{ident}">\n<h2 id="{ident}">{escape(title)}</h2>\n{inside}\n</section>'


def part(title: str, *parts: str) -> str:
    """Return what stands under a smaller heading; nothing without content."""
    inside = "\n".join(part for part in parts if part)
    return f"<h3>{escape(title)}</h3>\n{inside}" if inside else ""


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph, or nothing without text."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<p{attribute}>{escape(text)}</p>" if text else ""


def listing(texts: Iterable[str]) -> str:
    """Return a list, or nothing without items."""
    items = "\n".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>\n{items}\n</ul>" if items else ""


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a list of names and what they are."""
    return "<dl>\n" + "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in pairs) + "\n</dl>"


def code(text: str, label: str) -> str:
    """Return lines that keep their breaks, in a box that can be scrolled by keyboard."""
    return f'<pre tabindex="0" role="region" aria-label="{escape(label, quote=True)}">{escape(text)}</pre>'


def verdict(kind: str, *sentences: tuple[str, str]) -> str:
    """Return the box of a verdict: each sentence after the words that stand out."""
    inside = "\n".join(f"<p><strong>{escape(lead)}</strong> {escape(text)}</p>" for lead, text in sentences)
    return f'<div class="verdict {kind}">\n{inside}\n</div>'


class Boxes:
    """Tables and pictures, each with an id of its own within one page."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def table(self, table: Table) -> str:
        """Return a table in a box that scrolls by itself, with its note below; nothing without rows."""
        if not table.rows:
            return ""
        ident = f"table-{next(self._numbers)}"
        inside = replace(table, note="").html(ident=ident)
        box = f'<div class="box" tabindex="0" role="region" aria-labelledby="{ident}">\n{inside}\n</div>'
        return "\n".join(filter(None, (box, paragraph(table.note, "note"))))

    def picture(self, picture: Picture, caption: str) -> str:
        """Return a picture with its text and a caption; panels stand beside or below each other, as there is room."""
        width = round(PIXELS * picture.figure.get_size_inches()[0])
        if width <= COLUMN:
            return _figure(_image(png_bytes(picture.figure), picture.alt), caption)
        panels, legends = panel_images(picture.figure)
        if len(panels) > 1:
            lines = [_image(panel, "") for panel in panels]
            lines += ['<span class="row"></span>', *(_image(legend, "") for legend in legends)] if legends else []
            alt, inside = escape(picture.alt, quote=True), "\n".join(lines)
            return _figure(f'<div class="panels" role="img" aria-label="{alt}">\n{inside}\n</div>', caption)
        if width <= NARROW:
            return _figure(_image(panels[0], picture.alt), caption)
        ident = f"picture-{next(self._numbers)}"
        image = _image(panels[0], picture.alt, "wide")
        box = f'<div class="box" tabindex="0" role="region" aria-labelledby="{ident}">{image}</div>'
        return _figure(box, caption, f' id="{ident}"')


def _figure(inside: str, caption: str, attribute: str = "") -> str:
    return f"<figure>\n{inside}\n<figcaption{attribute}>{escape(caption)}</figcaption>\n</figure>"


def _image(content: bytes, alt: str, kind: str = "") -> str:
    """Return a PNG as an image in the page's scale."""
    width, height = (round(pixels * PIXELS / DPI) for pixels in png_size(content))
    kind = kind or ("small" if width <= SMALL else "")
    attribute = f' class="{kind}"' if kind else ""
    return (
        f'<img{attribute} width="{width}" height="{height}" alt="{escape(alt, quote=True)}" '
        f'src="data:image/png;base64,{b64encode(content).decode("ascii")}">'
    )
