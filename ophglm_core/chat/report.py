"""A conversation as a document: findings, heat maps, what was said, and its sources.

The pages are the templates beside this module; Markdown, HTML, PDF and JSON hold the same.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import util
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import InputError, UsageError
from ..files import write_bytes, write_text
from ..findings import Findings, notice
from ..heatmaps import overlay
from ..images import crop_disc
from ..templates import load_template
from ..wording import eye_name, grade_text, message_in, percent
from .conversation import Chat
from .exchange import Exchange
from .own_words import LINE_STARTS
from .parts import AnswerPart, describe_all

_FORMATS = {
    ".md": "md",
    ".markdown": "md",
    ".txt": "md",
    ".html": "html",
    ".htm": "html",
    ".json": "json",
    ".pdf": "pdf",
}
#: The side of a picture in a report, in pixels.
_SIZE = 360
_HEADINGS = {
    "red_flag": ("Urgent", "紧急"),
    "remark": ("", ""),
    "finding": ("From the photograph", "照片所见"),
    "visual_answer": ("Read independently", "独立阅片"),
    "knowledge": ("Known in general", "一般知识"),
    "explanation": ("In other words", "解释"),
    "source": ("Sources", "出处"),
    "recommendation": ("What to do next", "下一步"),
    "document": ("", ""),
}


def heading(kind: str, language: str) -> str:
    """Return what stands above the parts of a kind, in 'en' or 'zh'."""
    return _HEADINGS[kind][language == "zh"]


def report_format(path: Path) -> str:
    """Return the format that a file's suffix means: 'md', 'html', 'pdf' or 'json'.

    Raises UsageError if it means none, or one that needs a package which is not installed.
    """
    format = _FORMATS.get(path.suffix.lower())
    if format is None:
        wanted = f"'{path.suffix}'" if path.suffix else "a name without a suffix"
        raise UsageError(f"A report is written as .md, .html, .pdf or .json, not as {wanted}.")
    if format == "pdf" and util.find_spec("reportlab") is None:
        raise UsageError(
            "A PDF needs reportlab, which is not installed; run pip install 'ophglm[pdf]'."
        )
    return format


@dataclass(frozen=True)
class Shown:
    """A picture in a report. label: whose heat map lies over the photograph; None: none does."""

    label: str | None
    name: str
    picture: Image.Image

    @property
    def jpeg(self) -> bytes:
        """The picture as a JPEG file."""
        buffer = io.BytesIO()
        self.picture.save(buffer, "JPEG", quality=85)
        return buffer.getvalue()


def pictures(conversation: Chat, index: int, language: str) -> list[Shown]:
    """Return a photograph, and it beneath the heat map of each disease that it gave.

    One that can no longer be read is left out: a report is not worth failing for it.
    """
    finding, labels = conversation.findings[index], conversation.labels
    source = Path(finding.image) if finding.picture is None else finding.picture
    name = "照片" if language == "zh" else "photograph"
    try:
        shown = [Shown(None, name, crop_disc(source, _SIZE))]
        if finding.cams is not None:
            shown += [
                Shown(d, labels[d].name_in(language), overlay(finding, labels, d, _SIZE))
                for d in finding.diseases
            ]
    except InputError:
        return []
    return shown


def report(
    conversation: Chat,
    format: str,
    language: str = "en",
    when: datetime | None = None,
    links: dict[tuple[int, str | None], str] | None = None,
) -> str:
    """Return a conversation as a report.

    format: 'md', 'html' or 'json'. language: 'en' or 'zh'; what was asked and answered stays as it
    was. when: of the report. links: where its pictures are, by the photograph's index and label.
    """
    if format == "json":
        return (
            json.dumps(_as_json(conversation, language, when), ensure_ascii=False, indent=1) + "\n"
        )
    text: str = load_template(
        # Names of files and what was typed may hold anything.
        __package__,
        f"report.{format}.jinja",
        escape=format == "html",
        md=_markdown,
    ).render(report_values(conversation, language, when, links))
    return text


def report_values(
    conversation: Chat,
    language: str = "en",
    when: datetime | None = None,
    pictures: Mapping[tuple[int, str | None], Any] | None = None,
) -> dict[str, Any]:
    """Return what the pages show, by the names in their templates.

    pictures: what stands for each, by the photograph's index and label.
    """
    sources = _sources(conversation)
    return {
        "language": language,
        "t": lambda en, zh: zh if language == "zh" else en,
        "notice": notice(language),
        "when": when.strftime("%Y-%m-%d %H:%M") if when else "",
        "about": conversation.about,
        "red_flags": list(dict.fromkeys(e.red_flag for e in conversation.exchanges if e.red_flag)),
        "photographs": [
            photograph_values(conversation, i, language)
            | {
                "pictures": [
                    (conversation.labels[label].name_in(language) if label else "", picture)
                    for (number, label), picture in (pictures or {}).items()
                    if number == i
                ]
            }
            for i in range(len(conversation.findings))
        ],
        "turns": [(e.text, list(_groups(e, sources, language)), e) for e in conversation.exchanges],
        "sources": sources,
    }


def write_report(
    conversation: Chat,
    path: Path,
    language: str = "en",
    when: datetime | None = None,
    with_pictures: bool = True,
) -> None:
    """Write a conversation as a report in the format that the file's suffix means.

    with_pictures: whether pictures are put into an HTML page or a PDF, or beside a Markdown file.
    Raises UsageError if the suffix means no format, or one that needs a package which is not
    installed; InputError if a file cannot be written.
    """
    format = report_format(path)
    if format == "pdf":
        from .report_pdf import report_pdf

        jpegs = _jpegs(conversation, language) if with_pictures else {}
        write_bytes(path, report_pdf(report_values(conversation, language, when, jpegs)))
        return
    links: dict[tuple[int, str | None], str] = {}
    if with_pictures and format == "html":
        links = _inside(conversation, language)
    elif with_pictures and format == "md":
        for index in range(len(conversation.findings)):
            for shown in pictures(conversation, index, language):
                name = f"{path.stem}-{index + 1}-{shown.label or 'photograph'}.jpg"
                write_bytes(path.with_name(name), shown.jpeg)
                links[index, shown.label] = name
    write_text(path, report(conversation, format, language, when, links))


def report_page(conversation: Chat, language: str = "en", when: datetime | None = None) -> str:
    """Return a conversation as an HTML page that has its pictures inside.

    language: 'en' or 'zh'. when: of the report.
    """
    links = _inside(conversation, language)
    return report(conversation, "html", language, when, links)


def _inside(conversation: Chat, language: str) -> dict[tuple[int, str | None], str]:
    """Return the pictures as data: addresses, by the photograph's index and label."""
    return {
        place: f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
        for place, jpeg in _jpegs(conversation, language).items()
    }


def _jpegs(conversation: Chat, language: str) -> dict[tuple[int, str | None], bytes]:
    """Return the pictures as JPEG files, by the photograph's index and label."""
    return {
        (index, shown.label): shown.jpeg
        for index in range(len(conversation.findings))
        for shown in pictures(conversation, index, language)
    }


def photograph_values(conversation: Chat, index: int, language: str) -> dict[str, Any]:
    """Return what is shown of one photograph, worded in 'en' or 'zh'.

    Each of its rows is a label with its probability and threshold, as text and as fractions.
    """
    finding, labels = conversation.findings[index], conversation.labels
    rows = [
        {
            "label": label,
            "name": labels[label].name_in(language),
            "probability": percent(finding.probabilities[label], language),
            "fraction": round(finding.probabilities[label], 4),
            "threshold": threshold_text(conversation.thresholds.get(label)),
            "from": conversation.thresholds.get(label),
            "positive": label in finding.positive,
        }
        for label in (labels if finding.status == "ok" else ())
    ]
    return {
        "name": Path(finding.image).name,
        "eye": eye_name(finding, language),
        "quality": ("可判读" if language == "zh" else "gradable") if finding.status == "ok" else "",
        "message": message_in(finding, language) if finding.status != "ok" else "",
        "rows": rows,
        "grade": grade_text(finding, language),
        "referable": finding.referable,
        "text": describe_all(conversation.findings, labels, language)[index],
    }


def threshold_text(threshold: float | None) -> str:
    """Return a threshold as a percentage, with a place after the point where it is small."""
    if threshold is None:
        return ""
    return f"{threshold * 100:.0f}%" if threshold >= 0.1 else f"{threshold * 100:.1f}%"


def _sources(conversation: Chat) -> dict[str, int]:
    """Return the sources that answers name, each with its number."""
    named = (p.source for e in conversation.exchanges for p in e.parts if p.source)
    return {source: number for number, source in enumerate(dict.fromkeys(named), 1)}


def _groups(
    exchange: Exchange, sources: dict[str, int], language: str
) -> Iterator[tuple[str, str, list[tuple[str, int | None]]]]:
    """Yield an answer's parts by kind, in their order: kind, heading, texts with source numbers."""
    kinds = dict.fromkeys(part.kind for part in exchange.parts)
    for kind in kinds:
        texts = [
            (p.text, sources[p.source] if p.source else None)
            for p in exchange.parts
            if p.kind == kind
        ]
        if kind == "explanation":  # sentence by sentence as they were checked
            lines = ("\n" if text.startswith(LINE_STARTS) else " " for text, _ in texts)
            pairs = zip(lines, texts, strict=True)
            texts = [("".join(start + text for start, (text, _) in pairs).strip(), None)]
        yield kind, heading(kind, language), texts


def turn_json(conversation: Chat, exchange: Exchange) -> dict[str, Any]:
    """Return one turn as a JSON object's values, as `ophglm chat --json` prints it."""
    question = exchange.question
    return {
        "question": exchange.text,
        "intent": {
            "kind": exchange.intent,
            "language": question.language,
            "conditions": list(question.conditions),
            "beyond": list(question.beyond),
            "about_photograph": question.about_photograph,
        },
        "findings": [_finding_json(conversation, f) for f in conversation.findings],
        "answer": exchange.answer,
        "parts": [_part_json(part) for part in exchange.parts],
        "red_flag": exchange.red_flag,
        "complete": exchange.complete,
        "model": dict(conversation.about),
        "timings": {
            "first_part": _rounded(exchange.first_part),
            "answer": _rounded(exchange.seconds),
        },
        "notice": notice(question.language),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _part_json(part: AnswerPart) -> dict[str, Any]:
    return {"kind": part.kind, "text": part.text, "source": part.source}


def _finding_json(conversation: Chat, finding: Findings) -> dict[str, Any]:
    grades = [round(p, 4) for p in finding.grade_probabilities]
    return finding.to_json(conversation.labels) | {"grade_probabilities": grades}


def _as_json(conversation: Chat, language: str, when: datetime | None) -> dict[str, Any]:
    labels = conversation.labels
    findings = []
    for index, finding in enumerate(conversation.findings):
        maps = {} if finding.cams is None else {d: labels.index(d) for d in finding.diseases}
        findings.append(
            _finding_json(conversation, finding)
            | {
                "text": describe_all(conversation.findings, labels, language)[index],
                "heatmaps": {
                    d: finding.cams[row].astype(float).round(3).tolist()
                    for d, row in maps.items()
                    if finding.cams is not None
                },
            }
        )
    turns = [turn_json(conversation, e) for e in conversation.exchanges]
    for turn in turns:
        for said_once in ("findings", "model", "notice"):
            del turn[said_once]
    return {
        "notice": notice(language),
        "when": when.isoformat(timespec="seconds") if when else None,
        "model": dict(conversation.about),
        "thresholds": {k: round(v, 4) for k, v in conversation.thresholds.items()},
        "red_flags": [t["red_flag"] for t in turns if t["red_flag"]],
        "findings": findings,
        "conversation": turns,
        "sources": list(_sources(conversation)),
    }


def _markdown(text: str) -> str:
    """Return a text as Markdown shows it, with its lines kept."""
    escaped = re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", text.strip())
    return escaped.replace("\n", "  \n")
