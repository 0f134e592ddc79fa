"""Reads a text clause by clause, and leaves out what does not count.

What is denied ("no pain"), long past ("detachment repaired in 2015"), asked about in general ("can
trauma cause cataract?") or supposed ("if I see flashes") is not a complaint of today.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from .concepts import CONCEPTS, PAST, PAST_LIST, THIS_YEAR, YEAR

_SENTENCE_END = re.compile(r"(?<!\d)\.(?=\s|$)|(?<=\d)\.(?=\s|$)|[!?;\n\r。！？；]+|\.{2,}|…+")
#: A hard boundary ends the reach of a 'no' or an 'if'; a soft one only if the list ends there too.
_HARD = re.compile(
    r"\b(?:but|however|although|though|except(?: for)?|yet|apart from|besides|c/o|p/w|complain\w*"
    r"(?: of)?|presents? with|presenting with|presented with|reports?|reporting|and now|now"
    r"|and then"
    r"|then|because|cos|since yesterday)\b|但是?|可是?(?!能)|不过|然而|就是|只是|现在|目前|却"
    r"|反而|今天|突然(?=出现)"
)
_SOFT = re.compile(
    r"[,，:：()（）、]|\s[-–—]+\s|\s/\s|[–—]|\b(?:so|while|whereas)\b"
    r"|\band (?=(?:i|i'm|i've|he|she|it|we|they|my|his|her|the|can't|since|sudden\w*|there|this|has"
    r"|keeps?|is|it's)\b)|\b(?=with (?:sudden|new|acute))"
)
_NEGATION = re.compile(
    r"\b(?:no|nil|not|non|never|without|neither|nor|denie[sd]|deny|denying|negative for|absence of"
    r"|free of|rules? out|ruled out|excluded|w/o|lack of|(?:do|does|did|is|are|was|were|has"
    r"|have|had"
    r"|ai|wo)n't)\b"
    r"(?! (?:sure|know|idea|only|just|long|sleep|open|wait|stop\w*|go(?:ing|ne)? away|get"
    r"|getting|come"
    r"|coming|back|improv\w*|better|help\w*|able|move|worse|warning|matter|what|why|yet|light perc"
    r"|vision|sight|wearing|goggles|protection|want|feel well|look right|right|been able|relief"
    r"|eased|settl\w*|gone|think|understand|clear (?:what|why)|seen a|look outwards|much)\b)"
    r"(?! (?:\w+ ){0,2}(?:goggles|glasses|protection|relief|warning|idea|improvement))"
    r"|否认|未见|没有?(?!好|缓解|用|戴|办法|消|减|法|多久|事|在意|注意|敢|睡|了)|无(?!痛性|法"
    r"|论|缘|故|数|意|征兆|明显缓解)|未(?!好|缓解)"
    r"|从没|从来没|不(?=红|痛|疼|胀|发红|觉得|伴|怕光|闪|肿|是(?!很|因为|故意|我))"
)
_DENIES = re.compile(r"denie[sd]|deny|denying|negative for|否认|neither|未见")
_NO_AFTER = re.compile(
    r"^\W*(?:no|none|nil|absent|denied|negative|neg|无|没有|否认|阴性)\W*$"
    r"|(?::|：|-|=|\bis|\bare|\bwas|\bwere)\s?(?:no|none|nil|absent|denied|negative|ruled out"
    r"|excluded"
    r"|无|没有|否认|阴性|\(-\))\W*$|[(（][-–—][)）]|（-）|阴性$"
)
_SUPPOSED = re.compile(
    r"\b(?:if|in case|unless|whenever)\b(?! (?:this|that|it) (?:is|was)\b)|\bwarn(?:ed|s|ing)?\b"
    r"|\b(?:watch|look|looking|watching)(?: \w+)? out for\b|\brisks? of\b|\bto prevent\b"
    r"|\bchances? of\b|\bafraid of\b|\bscared of\b|\bfear of\b|\bworried about getting\b"
    r"|\bshould i "
    r"(?:ever|suddenly)\b|\bsuppose\b|\bimagine\b|\bany (?:flash|new|sudden"
    r"|pain)(?=.{0,60}\breturn)"
    r"|\bwhat (?:happens|to do) when\b|\bdo when\b|\bscreening for\b|\brule out\b|\bcome back (?:at"
    r" once )?(?:if|when|for)\b|\breturn (?:if|for|when)\b|\badvised (?:about|re|of|regarding)\b"
    r"|\bsigns of\b|\bprevent(?:s|ing)?\b|\b(?:going|gonna) to (?:go|lose)\b|\bsafety[- ]net\w*"
    r"|\blet's say\b|\bhypothetical\w*|\bhow (?:many|long)\b.{0,20}\b(?:until|till|before)\b"
    r"|如果|假如|假设|假定|设想|要是|万一|倘若|若(?!干)|一旦|会不会|预防|避免|以防|防止|警惕|怕(?!光)|风险"
)
_GENERAL = re.compile(
    r"\b(?:can|may|might|could|often|usually|typically|commonly|generally"
    r"|sometimes) (?:also )?(?:be"
    r"|cause|lead|result|present|occur|include|indicate|mean|appear|damage|make|signal|happen"
    r"|affect"
    r"|produce|bring|feel|show|give)\b|\b(?:causes?|caused by|leads? to|results? in|associated with"
    r"|related to|risk factors?|symptoms? (?:of|are|include)|defined as|refers? to|is a (?:symptom"
    r"|sign|condition|term|type|medical|common|rare|serious|an? emergency)|are (?:usually|often"
    r"|common"
    r"|harmless|small|tiny|a sign|symptoms|called|caused)|is (?:usually|often|common|called|an? "
    r"emergency)|presents? with|characteri[sz]ed by|patients with|people with|most people"
    r"|such as)\b"
    r"|引起|导致|会(?!诊|议)|可能|常见|症状(?:有|是|包括)|的症状|是指|表现为|意思|什么是"
    r"|是什么(?!原因|情况|病|回事)|哪些"
    r"|一定是|是不是都|不一定|解释|科普|什么情况|多见|通常|往往|的原因|为什么.{0,6}会|包括|属于|分为"
)
_ASKS = re.compile(
    r"^\W*(?:(?:and|so|also|please|hi|hello|hey|ok|okay|doctor|doc|thanks|just|well|but|or"
    r"|then)\b\W*)*"
    r"(?:what|what's|which|when|why|how|who|where|is|are|was|were|does|do|did|can|could|would|will"
    r"|should|shall|am|may|might|define|explain|describe|list|tell me|meaning of|difference between"
    r"|information (?:on|about)|whats)\b(?! i (?:see|look|close|open|woke|move|read|turn|blink"
    r"|wake))"
)
_WHOLLY_ASKED = re.compile(
    r"^\W*(?:will|would|could|can|might|may) (?:i|he|she|we|it|they|my \w+)\b"
)
_PERSON = re.compile(
    r"\b(?:my|his|her|our|their)\b (?:\w+ ){0,2}(?:eye|eyes|eyeball|vision|sight|eyesight|pupils?"
    r"|eyelids?|lids?|cornea|retina|son|daughter|baby|child|husband|wife|mum|mom|dad|father|mother"
    r"|floaters|flashes|contact|contacts|face|scalp|jaw|toddler|patient|kid)\b"
    r"|\b(?:i|he|she|we|they|pt|patient|mum|mom|dad|mother|father|husband|wife|son|daughter"
    r"|baby|who)"
    r"(?:'ve|'m|'s)? (?:\w+ly |just |have |has |am |is |been |keep |keeps |always |still ){0,3}"
    r"(?:see|sees|seeing|saw|have|has|had|'ve|got|gets?|lost|losing|notic\w+|been|keep|keeps|can't"
    r"|experienc\w+|having|woke|feel|feels|started|getting|developed|complain\w*)\b"
    r"|\b(?:right|left) eye\b|\bthese\b|\bi'm\b|\bi've\b|\bshould i (?:worry|be (?:worried"
    r"|concerned))"
    r"|\bis (?:it|this) (?:normal|serious|dangerous|an emergency|bad)\b|\b\d\d ?-?(?:y/?o|yo|m"
    r"|f|years?)\b"
    r"|(?<!光)眼睛.{0,2}突然|(?:溅|弄|喷|滴|进)(?:到|进|入)?眼|我|他|她|咱|俺|患者|病人|孩子"
    r"|宝宝|爸|妈|左眼|右眼|爷爷|奶奶|老公|老婆|儿子|女儿"
)
_FRESH = re.compile(
    r"^\W*(?:and |so |then |also )?(?:i|i'm|i've|he|she|it|we|they|my|his|her|there|there's"
    r"|she's|he's"
    r"|it's|this|the|your|pt|patient|can't|please|what|should|is|has|see|sees|seeing|reports?)\b"
    r"|看不|了|我|他|她|突然|今|昨|患者|右眼|左眼|眼睛"
)
#: An injury that has healed is past. Sight that came back is not: it may be a warning of a stroke.
_HEALED = re.compile(
    r"(?<!not )(?<!n't )\b(?:fully|completely|long since|all|well) (?:recovered|healed)\b"
    r"|(?<!not )\bhealed (?:up|well|fully|completely|years?|long)\b"
    r"|(?<!没)(?<!未)(?<!不)(?:已|早已|早就)?(?:痊愈|治愈|愈合)|已愈|早好了"
)
_CAME_BACK = ("blind", "lost_sight", "worse_sight", "visual_symptom")
OF_AN_EYE = re.compile(r"\beyes?\b|\b(?:eye)?sight\b|\bvision\b|眼|视力|视野")
_DATE_ONLY = re.compile(
    r"[\W\d]|\b(?:about|around|in|was|i|some|the|of|that|it)\b|大概|大约|我|的时候|是|[一二三四五六七八九十几两多]"
)
#: Concepts that hold whether or not they are denied, past or asked about.
_UNMASKED = frozenset(
    {"slow", "mild", "picture", "device", "elsewhere", "child", "fine", "eye", "body_pierced"}
)


@dataclass
class Clause:
    """A clause, whether it follows a hard boundary, and the spans in it that do not count."""

    text: str
    hard: bool
    masks: list[tuple[int, int]] = field(default_factory=list)
    of_picture: bool = False

    def mask(self, start: int = 0, end: int | None = None) -> None:
        self.masks.append((start, len(self.text) if end is None else end))

    def counts(self, match: re.Match[str]) -> bool:
        return not any(match.start() < end and match.end() > start for start, end in self.masks)

    def says(self, name: str) -> bool:
        """Whether a concept is in the clause, denied or not."""
        return CONCEPTS[name].search(self.text) is not None

    def concepts(self) -> frozenset[str]:
        found = _concepts(self.text, tuple(self.masks))
        return found | {"of_picture"} if self.of_picture else found


@lru_cache(maxsize=4096)
def _concepts(text: str, masks: tuple[tuple[int, int], ...]) -> frozenset[str]:
    """Return the concepts that a clause states outside of its masked spans."""
    clause = Clause(text, False, list(masks))
    return frozenset(
        name
        for name, pattern in CONCEPTS.items()
        if any(name in _UNMASKED or clause.counts(match) for match in pattern.finditer(text))
    )


def sentences(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the sentences of a text, and whether a question mark ends each."""
    start = 0
    for end in _SENTENCE_END.finditer(text):
        if text[start : end.start()].strip():
            yield text[start : end.start()].strip(), "?" in end[0] or "？" in end[0]
        start = end.end()
    if text[start:].strip():
        yield text[start:].strip(), False


def _clauses(sentence: str) -> list[Clause]:
    """Cut a sentence at its commas and conjunctions."""
    cuts = [(m.start(), m.end(), True) for m in _HARD.finditer(sentence)]
    cuts += [(m.start(), m.end(), False) for m in _SOFT.finditer(sentence)]
    clauses: list[Clause] = []
    start, hard = 0, False
    for begin, end, is_hard in [*sorted(cuts), (len(sentence), len(sentence), False)]:
        # A conjunction such as 'now' belongs to the clause it opens: it may be its only onset.
        if sentence[start:begin].strip():
            clauses += _pieces(sentence[start:begin].strip(), hard)
            hard = is_hard
        else:
            hard = hard or is_hard
        start = begin if is_hard and re.match(r"\w", sentence[begin:end]) else end
    return clauses


def _pieces(text: str, hard: bool) -> list[Clause]:
    """Cut a clause that has no punctuation for a page, so that no search in it is long."""
    pieces = []
    while len(text) > _LONGEST:
        cut = text.rfind(" ", _LONGEST // 2, _LONGEST) + 1 or _LONGEST
        pieces.append(Clause(text[:cut], hard))
        text, hard = text[cut:], False
    return [*pieces, Clause(text, hard)]


_LONGEST = 400


def _mask_denied(clauses: list[Clause], cue: re.Pattern[str]) -> None:
    """Mask what follows a 'no' or an 'if', to the end of its list."""
    for i, clause in enumerate(clauses):
        for match in cue.finditer(clause.text):
            end = _end_of_denial(clause.text, match)
            clause.mask(match.start(), end)
            if end is not None:
                continue
            rest = clauses[i + 1 :]
            stop = next((k for k, c in enumerate(rest) if c.hard), len(rest))
            # 'no flashes, floaters or pain': the 'or' shows that the list is denied to its end.
            to_or = max(
                (k + 1 for k, c in enumerate(rest[:stop]) if re.match(r"(?:or|nor)\b|或", c.text)
                 or re.search(r"\b(?:or|nor)\b|或", c.text)),
                default=0,
            )  # fmt: skip
            strong = bool(_DENIES.match(match[0]))
            for k, following in enumerate(rest[:stop]):
                if _FRESH.search(following.text) or following.says("recent"):
                    break
                if _NEGATION.match(following.text):
                    break
                onset = following.says("sudden") or re.match(r"\W*new\b", following.text)
                if k >= to_or and not strong and (onset or _words(following.text) > 6):
                    break
                following.mask()
            break


def _end_of_denial(text: str, cue: re.Match[str]) -> int | None:
    """Return where in its clause a denial ends: 'no pain sudden loss of vision' has no comma."""
    if not re.match(r"no\b|nil|without|无|没", cue[0]):
        return None
    onset = re.compile(r"\b(?:sudden\w*|acute|new)\b|突然|突发").search(text, cue.end())
    if onset is None:
        return None
    between = text[cue.end() : onset.start()]
    named = re.search(
        r"\b(?:pain|redness|discharge|trauma|headache|injury)\b|痛|疼|红|外伤", between
    )
    if named is None or re.search(r"\b(?:or|nor)\b|或|、", between):
        return None
    return onset.start()


def _words(text: str) -> int:
    """The length of a text in words; a Chinese character counts as half a word."""
    return len(re.findall(r"[a-z0-9']+", text)) + len(re.findall(r"[\u4e00-\u9fff]", text)) // 2


def _mask_past(clauses: list[Clause]) -> None:
    """Mask what is long past; a recent onset in the same clause makes it present."""
    listed = False
    for i, clause in enumerate(clauses):
        listed = (listed and not clause.hard) or bool(re.search(PAST_LIST, clause.text))
        recent = clause.says("recent") or (clause.says("sudden") and listed)
        if recent:
            listed = False
            continue
        past = _past(clause.text)
        if not past and not listed:
            continue
        rest = _DATE_ONLY.sub("", (past and past.re.sub("", clause.text)) or clause.text)
        if past and len(rest) < 3:
            # Only a date: it belongs to the clause it stands beside.
            beside = list(clauses[i + 1 : i + 2] if i == 0 else clauses[i - 1 : i])
            for other in beside:
                if not other.says("recent") and not (other.hard and i == 0):
                    other.mask()
        clause.mask()
    _mask_healed(clauses)


def _mask_healed(clauses: list[Clause]) -> None:
    """Mask an injury that is said, in its clause or soon after in the sentence, to have healed."""
    for i, clause in enumerate(clauses):
        if not _HEALED.search(clause.text) or clause.says("sudden"):
            continue
        for earlier in clauses[max(0, i - 3) : i + 1]:
            fresh = earlier.says("recent") or earlier.says("sudden")
            if not fresh and not any(earlier.says(name) for name in _CAME_BACK):
                earlier.mask()


_PAST_OR_YEAR = re.compile(rf"{PAST}|{YEAR}")


def _past(text: str) -> re.Match[str] | None:
    """Return what in a clause puts it into the past; this year and the last do not."""
    for match in _PAST_OR_YEAR.finditer(text):
        if not match[0].isdigit() or int(match[0]) < THIS_YEAR:
            return match
    return None


def _mask_asked(clauses: list[Clause], question: bool) -> None:
    """Mask questions about a word, a cause or a disease, and general statements."""
    asking = False
    for i, clause in enumerate(clauses):
        opens = _ASKS.match(clause.text)
        if opens:
            asking = True
        elif asking and (_FRESH.search(clause.text) or clause.hard):
            asking = False
        person = bool(_PERSON.search(clause.text)) or clause.says("recent")
        general = _GENERAL.search(clause.text)
        if opens and i == 0 and _WHOLLY_ASKED.match(clause.text) and not clause.says("recent"):
            person = False
        if (asking or general) and not person:
            clause.mask()
        elif asking or (question and _words(clause.text) > 5):
            # 'Does he have a retinal detachment?' asks for a diagnosis and is no complaint.
            for name in DIAGNOSES:
                for match in CONCEPTS[name].finditer(clause.text):
                    clause.mask(match.start(), match.end())


DIAGNOSES = ("loss_diagnosis", "detachment", "red_eye_diagnosis", "gca_diagnosis", "leukocoria")


def read(sentence: str, question: bool) -> list[Clause]:
    """Cut a sentence into clauses and mask what does not count in them."""
    clauses = _clauses(sentence)
    _mask_denied(clauses, _NEGATION)
    _mask_denied(clauses, _SUPPOSED)
    _mask_past(clauses)
    _mask_asked(clauses, question)
    for i, clause in enumerate(clauses):
        if _NO_AFTER.search(clause.text):
            clause.mask()
            if i and _words(clause.text) < 2:
                clauses[i - 1].mask()
        if clause.says("picture") and not (_PERSON.search(clause.text) or clause.says("recent")):
            clause.of_picture = True
            for name in ("blind", "lost_sight", "worse_sight", "new_spot", "red", "pain"):
                for match in CONCEPTS[name].finditer(clause.text):
                    clause.mask(match.start(), match.end())
        if clause.says("device") and not OF_AN_EYE.search(clause.text):
            # A report that tells of a detachment still counts; one that cannot be seen does not.
            for name in ("blind", "lost_sight", "worse_sight", "new_spot", "visual_symptom"):
                for match in CONCEPTS[name].finditer(clause.text):
                    clause.mask(match.start(), match.end())
    return clauses
