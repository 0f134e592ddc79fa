"""A conversation as a PDF: what the templates of the other reports show, laid out by reportlab."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.pdfmetrics import registerFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    Flowable,
    HRFlowable,
    Image,
    KeepTogether,
    Paragraph,
    SimpleDocTemplate,
    Table,
)

#: Adobe's font for Simplified Chinese, of which a PDF holds the name only: readers bring their own.
_CHINESE = "STSong-Light"
registerFont(UnicodeCIDFont(_CHINESE))
#: From here on characters are Chinese, Japanese and Korean ones, with their punctuation.
_FIRST_WIDE = "\u2e80"
_MARGIN = 20 * mm
#: Of a frame of reportlab's, which has a padding of 6 points.
_WIDTH = A4[0] - 2 * _MARGIN - 12
_GREY, _RED, _BLUE = HexColor(0x555555), HexColor(0x990000), HexColor(0x778899)
_IN_A_ROW = 3


def report_pdf(values: Mapping[str, Any]) -> bytes:
    """Return a report as a PDF file of A4 pages.

    values: what `report.report_values` gives, with the pictures as JPEG files where the others have
    their links.
    """
    buffer = io.BytesIO()
    document = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        **dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), _MARGIN),
        title=_title(values),
        creator="ophglm",
        lang=values["language"],
    )
    document.build(list(_report(values)), onFirstPage=_number, onLaterPages=_number)
    return buffer.getvalue()


def _number(canvas: Canvas, document: SimpleDocTemplate) -> None:
    canvas.setFont("Helvetica", 9)
    canvas.setFillColor(_GREY)
    canvas.drawCentredString(A4[0] / 2, _MARGIN / 2, str(document.page))


def _title(values: Mapping[str, Any]) -> str:
    title: str = values["t"](
        "Fundus photographs: findings and conversation", "眼底照片：所见与对话"
    )
    return title


def _report(values: Mapping[str, Any]) -> Iterator[Flowable]:
    t, about = values["t"], values["about"]
    yield _text(_title(values), size=16, bold=True)
    yield _text(values["notice"], bold=True)
    for red_flag in values["red_flags"]:
        yield _urgent(red_flag)
    made = (values["when"], about.get("model"), about.get("language_model"))
    yield _small(" · ".join(filter(None, made)))
    for photograph in values["photographs"]:
        yield from _photograph(photograph, t)
    if values["turns"]:
        yield _heading(t("Conversation", "对话"))
    for question, groups, exchange in values["turns"]:
        yield _text(question, bold=True, space=10, next=True, leftIndent=8)
        for kind, heading, texts in groups:
            if heading and kind != "red_flag":
                yield _small(heading, next=True)
            for text, source in texts:
                said = f"{text} [{source}]" if source else text
                yield _urgent(said) if kind == "red_flag" else _text(said)
        if not exchange.complete:
            yield _small(f"({t('stopped', '已停止')})")
    if values["sources"]:
        yield _heading(t("Sources", "来源"))
    for source, number in values["sources"].items():
        yield _text(f"{number}. {source}", leftIndent=14, firstLineIndent=-14)


def _photograph(photograph: Mapping[str, Any], t: Any) -> Iterator[Flowable]:
    yield _heading(" · ".join(filter(None, (photograph[k] for k in ("name", "eye", "quality")))))
    yield _text(photograph["text"])
    if photograph["rows"]:
        yield KeepTogether([_probabilities(photograph["rows"], t)])
        yield _small(t("* flagged", "* 提示"))
    if photograph["grade"]:
        said = t(
            "Suggested grade of diabetic retinopathy (ICDR): ", "糖尿病视网膜病变分级建议（ICDR）："
        )
        referred = t(", to be referred", "，需转诊") if photograph["referable"] else ""
        yield _text(f"{said}{photograph['grade']}{referred}")
    pictures = photograph["pictures"]
    if pictures:
        yield _pictures(pictures, photograph["name"], t)
    if len(pictures) > 1:
        yield _small(
            t(
                "A heat map shows what moved the classifier, which is not always a lesion.",
                "热图显示影响分类器的区域，不一定是病灶。",
            )
        )


def _probabilities(rows: list[dict[str, Any]], t: Any) -> Table:
    """Return a table of conditions, as their probabilities in words and as bars."""
    widths = [0.4 * _WIDTH, 0.15 * _WIDTH, 0.15 * _WIDTH, 0.3 * _WIDTH]
    columns = (t("condition", "疾病"), t("probability", "概率"), t("threshold", "阈值"), "")
    cells: list[list[Flowable]] = [[_small(column) for column in columns]]
    for row in rows:
        bold = row["positive"]
        texts = (row["name"] + (" *" if bold else ""), row["probability"], row["threshold"])
        bar = HRFlowable(
            width=max(0.5, row["fraction"] * (widths[3] - 12)),
            thickness=6,
            color=_RED if bold else _BLUE,
            lineCap="butt",
            hAlign="LEFT",
            spaceBefore=0,
            spaceAfter=0,
        )
        cells.append([*(_text(text, bold=bold, space=0) for text in texts), bar])
    padding = [(f"{side}PADDING", (0, 0), (-1, -1), 1) for side in ("TOP", "BOTTOM")]
    left, middle = ("LEFTPADDING", (0, 0), (0, -1), 0), ("VALIGN", (0, 0), (-1, -1), "MIDDLE")
    return Table(cells, widths, style=[*padding, left, middle])


def _pictures(pictures: list[tuple[str, bytes]], name: str, t: Any) -> Table:
    """Return photograph and heat maps, each above what it is."""
    width = _WIDTH / _IN_A_ROW
    cells = [
        [
            Image(io.BytesIO(jpeg), width - 10, width - 10),
            _small(t("Heat map: ", "热图：") + label if label else name),
        ]
        for label, jpeg in pictures
    ]
    rows: list[list[Any]] = [cells[i : i + _IN_A_ROW] for i in range(0, len(cells), _IN_A_ROW)]
    rows[-1] += [""] * (_IN_A_ROW - len(rows[-1]))
    return Table(rows, [width] * _IN_A_ROW, style=[("VALIGN", (0, 0), (-1, -1), "TOP")])


def _heading(text: str) -> Paragraph:
    return _text(text, size=13, bold=True, space=12, next=True)


def _small(text: str, next: bool = False) -> Paragraph:
    return _text(text, size=9, colour=_GREY, space=3, next=next)


def _urgent(text: str) -> Paragraph:
    border = {"borderColor": _RED, "borderWidth": 1, "borderPadding": 5}
    return _text(text, bold=True, colour=_RED, space=16, **border)


def _text(
    text: str,
    size: float = 10,
    bold: bool = False,
    colour: Color | None = None,
    space: float = 4,
    next: bool = False,
    **more: Any,
) -> Paragraph:
    """Return a paragraph in the one font that has its characters.

    size: in points, as space, above and below it. next: whether it stays with what follows. more:
    of reportlab's ParagraphStyle.
    """
    wide = any(character >= _FIRST_WIDE for character in text)
    style = ParagraphStyle(
        "",
        fontName=_CHINESE if wide else "Helvetica-Bold" if bold else "Helvetica",
        fontSize=size,
        leading=1.35 * size,
        wordWrap="CJK" if wide else None,
        spaceBefore=space,
        spaceAfter=space / 2,
        keepWithNext=int(next),
        **({} if colour is None else {"textColor": colour}),
        **more,
    )
    lines = ("".join(c if c.isprintable() else " " for c in line) for line in text.split("\n"))
    return Paragraph("<br/>".join(map(escape, lines)), style)
