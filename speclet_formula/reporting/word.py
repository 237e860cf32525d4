"""A table as a Word document: the few parts of the format that a table needs, so that no further library does.

A document is a ZIP archive of XML (ECMA-376). All text is escaped, and what XML cannot hold is left out.
"""

import re
import zipfile
from collections.abc import Iterator, Sequence
from html import escape
from io import BytesIO

from speclet_formula.common.table import Table, spans_of

_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a ZIP archive can have: the same table gives the same bytes
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_TYPES = (
    f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/word/document.xml" ContentType="{_TYPE}"/></Types>'
)
_LINKS = (
    f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" Type="{_OFFICE}/officeDocument" '
    'Target="word/document.xml"/></Relationships>'
)
_RULE = '<w:{side} w:val="single" w:sz="{size}" w:space="0" w:color="auto"/>'
_PAGE = (
    '<w:sectPr><w:pgSz w:w="11906" w:h="16838"/>'
    '<w:pgMar w:top="1134" w:right="1134" w:bottom="1134" w:left="1134"/></w:sectPr>'
)


def word_document(tables: Sequence[Table]) -> bytes:
    """Return tables as the bytes of a .docx file, one below the other.

    Parameters
    ----------
    tables : sequence of Table

    Returns
    -------
    bytes
        With captions above, notes below, rules as in print, the header repeated on each page, numbers on the right.
    """
    body = "".join(map(_table, tables))
    document = f'{_HEAD}<w:document xmlns:w="{_MAIN}"><w:body>{body}{_PAGE}</w:body></w:document>'
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (("[Content_Types].xml", _TYPES), ("_rels/.rels", _LINKS), ("word/document.xml", document)):
            archive.writestr(zipfile.ZipInfo(name, _DATE), text.encode("utf-8"), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _table(table: Table) -> str:
    """Set one table with its caption and its note."""
    caption = _paragraph(table.caption, bold=True, keep=True) if table.caption else ""
    note = _paragraph(table.note, small=True) if table.note else ""
    rules = _RULE.format(side="top", size=8) + _RULE.format(side="bottom", size=8)
    look = f'<w:tblPr><w:tblW w:w="0" w:type="auto"/><w:tblBorders>{rules}</w:tblBorders></w:tblPr>'
    grid = f"<w:tblGrid>{'<w:gridCol/>' * len(table.header)}</w:tblGrid>"
    return f"{caption}<w:tbl>{look}{grid}{''.join(_rows(table))}</w:tbl>{note or _paragraph('')}"


def _rows(table: Table) -> Iterator[str]:
    """Go through the header, the headings of parts and the rows."""
    spans, headings = dict(spans_of(table)), dict(table.headings)
    cells, place = [], 0
    while place < len(table.header):
        width = spans.get(place, 1)
        side = "left" if place < table.labels else "center" if width > 1 else "right"
        cells.append(_cell(_paragraph(table.header[place], side, bold=True, keep=True), width, rule=True))
        place += width
    yield f"<w:tr><w:trPr><w:cantSplit/><w:tblHeader/></w:trPr>{''.join(cells)}</w:tr>"
    for number, row in enumerate(table.rows):
        if number in headings:
            yield _row([_cell(_paragraph(headings[number], italic=True, keep=True), len(table.header))])
        sides = ["left" if place < table.labels else "right" for place in range(len(row))]
        yield _row([_cell(_paragraph(cell, side)) for cell, side in zip(row, sides, strict=True)])


def _row(cells: Sequence[str]) -> str:
    return f"<w:tr><w:trPr><w:cantSplit/></w:trPr>{''.join(cells)}</w:tr>"


def _cell(inside: str, width: int = 1, *, rule: bool = False) -> str:
    span = f'<w:gridSpan w:val="{width}"/>' if width > 1 else ""
    line = f"<w:tcBorders>{_RULE.format(side='bottom', size=4)}</w:tcBorders>" if rule else ""
    return f'<w:tc><w:tcPr><w:tcW w:w="0" w:type="auto"/>{span}{line}</w:tcPr>{inside}</w:tc>'


def _paragraph(
    text: str, side: str = "left", *, bold: bool = False, italic: bool = False, small: bool = False, keep: bool = False
) -> str:
    """Set a paragraph; `keep` keeps it on the page of the next one."""
    look = f'{"<w:b/>" * bold}{"<w:i/>" * italic}<w:sz w:val="{18 if small else 20}"/>'
    where = f'{"<w:keepNext/>" * keep}<w:spacing w:before="20" w:after="20"/><w:jc w:val="{side}"/>'
    inside = f'<w:t xml:space="preserve">{escape(_UNFIT.sub("", text), quote=False)}</w:t>'
    return f"<w:p><w:pPr>{where}</w:pPr><w:r><w:rPr>{look}</w:rPr>{inside}</w:r></w:p>"
