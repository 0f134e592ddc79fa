"""What the picture gave: the findings of one photograph, and how they are put into words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .labels import BY_KEY, DISEASES, LABELS

#: Said once by every output.
NOTICE = "Decision support for research, not a diagnosis; a clinician must review the image."
NOTICE_ZH = "仅供科研辅助决策，不构成诊断；须由临床医生阅片。"

_EYE_IN_NAME = re.compile(r"(?<![a-z])(left|right|os|od)(?![a-z])", re.IGNORECASE)
_EYES = {"left": "left", "os": "left", "right": "right", "od": "right"}


@dataclass(frozen=True)
class Findings:
    """The findings of one photograph.

    status: 'ok', 'ungradable' or 'error'. probabilities: calibrated, per label (0 to 1).
    positive: the diseases at or above their threshold; ['normal'] if there is none and 'normal'
    reaches its own. eye: 'left', 'right' or None; it comes from the file's name and is no more
    certain than that. maps and features: class activation maps [L, h, w] and the last feature map
    [C, h, w], where they were asked for.
    """

    image: str
    status: str
    model: str
    probabilities: dict[str, float] = field(default_factory=dict)
    positive: list[str] = field(default_factory=list)
    message: str | None = None
    eye: str | None = None
    maps: np.ndarray | None = field(default=None, compare=False, repr=False)
    features: np.ndarray | None = field(default=None, compare=False, repr=False)

    @property
    def diseases(self) -> list[str]:
        """The positive labels without 'normal', the most probable first."""
        found = [label for label in self.positive if label in DISEASES]
        return sorted(found, key=lambda label: -self.probabilities[label])

    def to_json(self) -> dict[str, Any]:
        """Return the findings as a JSON line's values, in their published order."""
        known = bool(self.probabilities)
        return {
            "image": self.image,
            "status": self.status,
            "probabilities": {
                label: round(self.probabilities[label], 4) if known else None for label in LABELS
            },
            "positive": self.positive,
            "message": self.message,
            "eye": self.eye,
            "model": self.model,
        }


def eye_from_name(path: Path) -> str | None:
    """Return 'left' or 'right' if a file's name says exactly one of them."""
    found = {_EYES[match.lower()] for match in _EYE_IN_NAME.findall(path.stem)}
    return found.pop() if len(found) == 1 else None


def positive_labels(probabilities: dict[str, float], thresholds: dict[str, float]) -> list[str]:
    """Return the diseases at or above their threshold, or ['normal'] if none is and normal is."""
    diseases = [label for label in DISEASES if probabilities[label] >= thresholds[label]]
    if diseases:
        return diseases
    return ["normal"] if probabilities["normal"] >= thresholds["normal"] else []


def is_chinese(text: str) -> bool:
    """Whether a text has Chinese characters."""
    return re.search(r"[\u4e00-\u9fff]", text) is not None


def percent(probability: float, language: str = "en") -> str:
    """Word a probability without false precision or certainty."""
    if probability >= 0.99:
        return "超过99%" if language == "zh" else "over 99%"
    if probability < 0.01:
        return "不足1%" if language == "zh" else "under 1%"
    return f"{probability * 100:.0f}%"


def describe(findings: Findings, language: str = "en", name: str | None = None) -> str:
    """Put findings into one or two sentences that say no more than the picture gave."""
    zh = language == "zh"
    subject = name or ("这张照片" if zh else "the photograph")
    if findings.status == "ungradable":
        reason = (findings.message or "").rstrip(".")
        if zh:
            return f"{subject}无法用于判读（{reason}），因此没有从中得出任何结论。"
        return f"{_capital(subject)} cannot be judged ({reason}), so nothing is concluded from it."
    likely = [d for d in findings.diseases if findings.probabilities[d] >= 0.5]
    flagged = [d for d in findings.diseases if findings.probabilities[d] < 0.5]
    write = _chinese if zh else _english
    return write(findings, _capital(subject), likely, flagged)


def _english(findings: Findings, subject: str, likely: list[str], flagged: list[str]) -> str:
    probabilities = findings.probabilities
    sentences = []
    if likely:
        parts = [f"{BY_KEY[d].finding} ({percent(probabilities[d])})" for d in likely]
        sentences.append(f"{subject} shows {_joined(parts)}.")
    if flagged:
        # At a sensitivity of 85 % many are flagged of whom few have the disease; say so.
        parts = [f"{BY_KEY[d].name} ({percent(probabilities[d])})" for d in flagged]
        start = "It is also" if likely else f"{subject} is"
        sentences.append(
            f"{start} flagged at the screening threshold for {_joined(parts)}: more likely absent "
            "than present, but to be checked."
        )
    if not findings.diseases and findings.positive:
        sentences.append(
            f"{subject} shows {BY_KEY['normal'].finding} "
            f"({percent(probabilities['normal'])} normal)."
        )
    elif not findings.diseases:
        sentences.append(
            f"{subject} is uncertain: none of the five conditions reaches its threshold, and it "
            "cannot be called normal either."
        )
    if "cataract" in likely:
        sentences.append("The haze may hide disease of the retina, so none is excluded.")
    return " ".join(sentences)


def _chinese(findings: Findings, subject: str, likely: list[str], flagged: list[str]) -> str:
    probabilities = findings.probabilities
    sentences = []
    if likely:
        parts = [f"{BY_KEY[d].finding_zh}（概率{percent(probabilities[d], 'zh')}）" for d in likely]
        sentences.append(f"从{subject}看：{'；'.join(parts)}。")
    if flagged:
        parts = [f"{BY_KEY[d].name_zh}（概率{percent(probabilities[d], 'zh')}）" for d in flagged]
        start = "另外" if likely else f"{subject}"
        sentences.append(f"{start}按筛查阈值提示复查{'、'.join(parts)}：更可能没有，但需核实。")
    if not findings.diseases and findings.positive:
        sentences.append(
            f"从{subject}看：{BY_KEY['normal'].finding_zh}"
            f"（概率{percent(probabilities['normal'], 'zh')}）。"
        )
    elif not findings.diseases:
        sentences.append(f"从{subject}看：五种疾病均未达到阈值，但也不能判为正常，结果不确定。")
    if "cataract" in likely:
        sentences.append("影像模糊可能掩盖视网膜病变，不能据此排除其他疾病。")
    return "".join(sentences)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
