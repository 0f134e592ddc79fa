"""A guard over a language model's words: what it may not say.

The findings are worded by the program; the language model explains. A small model is fluent and
not reliable, so each of its sentences is checked before the user sees it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..conditions import CONDITIONS, named_conditions

#: Diseases that are not in the table of conditions: naming one of them is always an addition.
_OTHERS = (
    r"vein occlusion|artery occlusion|retinal detachment|detached retina"
    r"|macular (hole|edema|oedema)|epiretinal|uveitis|retinoblastoma|melanoma|tumou?r|cancer"
    r"|retinitis pigmentosa|papill?o?edema|optic neuritis|keratoconus|stroke"
    r"|静脉阻塞|动脉阻塞|视网膜脱离|黄斑裂孔|葡萄膜炎|肿瘤|癌"
)
_CERTAIN = re.compile(
    r"\b(definite(ly)?|certain(ly)?|undoubtedly|without (a )?doubt|confirms|confirmed(?! by)"
    r"|proves?|proven|guarantee\w*|100 ?%|no doubt|clearly (has|have|shows|indicates)|surely"
    r"|absolutely)\b"
    r"|\b(you|he|she|the patient|they|i) (do )?(have|has|had|suffers?|are suffering|is suffering)"
    r" (from )?(a |an |the |mild |moderate |severe |early |late )*{names}"
    r"|diagnos(ed|is) (is|of|as|with|:)|肯定|确诊|一定是|毫无疑问|就是|百分之百".replace(
        "{names}",
        "(" + "|".join([*(c.pattern for c in CONDITIONS.values() if c.pattern), _OTHERS]) + ")",
    ),
    re.IGNORECASE,
)
_ABOUT_PICTURE = re.compile(
    r"photo|image|picture|\bscan\b|fundus|\b(this|the|your|left|right) (eye|retina|macula|disc)\b"
    r"|\b(you|your|the patient|patient's|he|she)\b|\bI (can )?(see|saw|notice|observe)"
    r"|照片|图像|图片|眼底|您|你|患者|病人|该眼",
    re.IGNORECASE,
)
#: A description of this picture or eye: what it shows has been said already, by the program.
_DESCRIBES = re.compile(
    r"\b(the|this|these|your|our) (\w+ )?(photo\w*|images?|pictures?|scans?)\b"
    r"|\b(the|this|your|his|her|their|left|right) (\w+ )?(eyes?|retinas?|maculas?|discs?|lens|cup"
    r"|vessels|pupils?|patient|person) (is|are|was|has|have|had|shows?|looks?|appears?|seems?)\b"
    r"|\b(i|we) (can )?(see|saw|notice|observe)|(照片|图像|该眼|眼底)(显示|中|上可见|可见)",
    re.IGNORECASE,
)
_COMMON = {
    word[:6]
    for word in re.findall(
        r"\w+",
        "this that these those with from have been will would could should also when where which "
        "what about into than then them they their there some such more most other your after "
        "before because very much many being does made make only over each both while during",
    )
}
_DENIED = re.compile(
    r"\b(no|not|without|never|neither|cannot|can't|does not|doesn't|rule[sd]? out|exclude[sd]?)\b"
    r"|不|没有|未|无|排除",
    re.IGNORECASE,
)
_DOSE = re.compile(r"\b\d+([.,]\d+)?\s*(mg|ml|mcg|µg|g|drops?|tablets?|times|%|percent)", re.I)
_PERSONA = re.compile(
    r"\bas an ai\b|\bi('m| am) (a|an|your) (doctor|ophthalmologist|physician|ai)"
    r"|\bSmolLM\b|hugging ?face|\bsystem prompt\b|\bthe facts (above|say|given|provided)",
    re.IGNORECASE,
)


def states_certainty(text: str) -> bool:
    """Whether a text states a disease or finding as certain, or gives a dose."""
    return bool(_CERTAIN.search(text) or _DOSE.search(text))


def overclaims(text: str) -> bool:
    """Whether a text states a disease as certain, gives a dose or names one never looked for."""
    return states_certainty(text) or any(
        re.search(pattern, text, re.IGNORECASE) for pattern in (_PERSONA.pattern, _OTHERS)
    )


_NEGATION = re.compile(r"\b(?:not|no|never|cannot|without|neither|nor)\b|n't\b")


@dataclass
class Guard:
    """Checks the language model's sentences, one after another, for one answer.

    found: diseases that the picture gave. asked: diseases that the user's question names; they may
    be explained, and not be said to be there. grounds: the text the model was given; numbers that
    are not in it are the model's own invention. support: the share of a sentence's content words
    that `grounds` must hold; a model of a few hundred million parameters needs it, and may neither
    deny what they say nor say what they deny; a large one 0. own_figures: whether it may give
    figures that `grounds` lack, because they are marked as such elsewhere.
    """

    found: frozenset[str]
    asked: frozenset[str]
    grounds: str
    support: float = 0.0
    own_figures: bool = False

    def __post_init__(self) -> None:
        self._sentences: list[tuple[str, set[str]]] = []
        self._grounds = content_words(self.grounds)
        self._denied = _denied(self.grounds)

    def check(self, sentence: str) -> str | None:
        """Return why a sentence must not be shown, or None if it may."""
        plain = re.sub(r"\W+", " ", sentence).strip().lower()
        if not plain:
            return "nothing said"
        words = content_words(sentence)
        if any(plain == earlier or _same(words, others) for earlier, others in self._sentences):
            return "said before"
        reason = self._reason(sentence)
        if reason is None:
            self._sentences.append((plain, words))
        return reason

    def record(self, sentence: str) -> None:
        """Take note of a sentence that was said, so that the model does not say it again."""
        plain = re.sub(r"\W+", " ", sentence).strip().lower()
        self._sentences.append((plain, content_words(sentence)))

    def _reason(self, sentence: str) -> str | None:
        if _CERTAIN.search(sentence):
            return "states a disease or finding as certain"
        if _PERSONA.search(sentence):
            return "speaks of itself"
        if not self.own_figures and any(
            n not in self.grounds for n in re.findall(r"\d+(?:\.\d+)?", sentence)
        ):
            return "a number that was not given"
        if _DOSE.search(sentence) and not _DOSE.search(self.grounds):
            return "a dose"
        named = set(named_conditions(sentence))
        about_picture = _ABOUT_PICTURE.search(sentence)
        if re.search(_OTHERS, sentence, re.IGNORECASE) and not re.search(
            _OTHERS, self.grounds, re.IGNORECASE
        ):
            return "names a disease that was neither found nor asked about"
        if named - self.found - self.asked:
            return "names a disease that was neither found nor asked about"
        if (named - self.found) and _DENIED.search(sentence):
            return "excludes a disease, which a photograph cannot"
        if (named - self.found) and about_picture:
            return "speaks of a disease that was not found as if of this patient"
        if (named & self.found) and about_picture and _DENIED.search(sentence):
            return "denies what was found"
        if _DESCRIBES.search(sentence):
            return "describes what the picture did not give"
        words = content_words(sentence)
        if words and len(words & self._grounds) < self.support * len(words):
            return "is not supported by what the model was given"
        if self.support and self._turned_round(sentence, words):
            return "denies what the model was given, or gives what that denies"
        return None

    def _turned_round(self, sentence: str, words: set[str]) -> bool:
        """Whether a word is denied in the sentence and not in the grounds, or the other way round.

        A small model drops and adds a 'not' as lightly as any other word.
        """
        denied = _denied(sentence)
        return bool(denied & (self._grounds - self._denied) or (words - denied) & self._denied)


def _denied(text: str) -> set[str]:
    """The content words that stand behind a 'not' in their clause."""
    clauses = re.split(r"[.,;:!?]|\bbut\b", text.lower())
    parts = (_NEGATION.split(clause, maxsplit=1) for clause in clauses)
    return content_words(" ".join(part[-1] for part in parts if len(part) > 1))


def _same(words: set[str], others: set[str]) -> bool:
    """Whether two sentences say the same: nearly all of either's content words are shared."""
    return len(words) > 3 and len(words & others) >= 0.95 * max(len(words), len(others))


def content_words(text: str) -> set[str]:
    """The words of a text that carry meaning, cut to stems of six letters."""
    return {word[:6] for word in re.findall(r"[a-z]{4,}", text.lower())} - _COMMON
