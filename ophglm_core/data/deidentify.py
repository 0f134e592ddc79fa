"""De-identification: names, places, hospitals, dates and numbers of people are redacted.

Rules and not a model, and no guarantee: each needs a cue (a title, a label, "I live in"), a form or
a known name. What the knowledge library says is never taken for a name: 方便, 高度近视 and 白内障
begin with surnames. `tests/core/data/test_deidentify.py` measures them on written lines.
"""

from __future__ import annotations

import json
import re
from importlib import resources

from ..knowledge.library import vocabulary

_HAN = r"[\u4e00-\u9fff]"
_FILE = resources.files(__package__) / "identifying_words.json"
_WORDS: dict[str, list[str]] = json.loads(_FILE.read_text("utf-8"))["rules"]


def _any(key: str) -> str:
    return "(?:" + "|".join(_WORDS[key]) + ")"


_SURNAME = rf"(?:{_any('surnames_of_two')}|{_any('surnames')})"
_NAME_ZH = rf"(?:{_any('surnames_of_two')}{_HAN}{{1,2}}|{_any('surnames')}{_HAN}{{1,2}})"
_TITLE_ZH = (
    "医生|大夫|主任|教授|院士|院长|医师|护士|先生|女士|老师|专家|大爷|大妈|阿姨|叔叔|奶奶|爷爷"
)
#: What may stand before a name; else 处方医生 and 便于医生 would have one.
_BEFORE_ZH = (
    r"(?:^|(?<=[^\u4e00-\u9fff])|(?<=[请让找由跟和及向挂看见给被的是了问叫烦系科院])"
    r"|(?<=感谢|谢谢|老公|同事))"
)
_AFTER_ZH = rf"(?={_TITLE_ZH}|[^\u4e00-\u9fff]|[的说是在今昨现]|$)"
_KIN_ZH = (
    "患者|病人|患儿|本人|我是|我叫|名叫|女儿|儿子|孩子|宝宝|孙子|孙女|爸爸|妈妈|父亲|母亲|先生|丈夫|老公|妻子|爱人|老伴"
    "|哥哥|弟弟|姐姐|妹妹|家属|朋友|同事"
)
#: Words of ordinary talk that look like a surname with a name and that the library may lack.
_ORDINARY = frozenset(_WORDS["ordinary"])
_PLACE_ZH = rf"{_any('places')}(?:省|市|自治区)?"
_HOSPITAL_END = r"(?:医院|眼科中心|眼科医院|卫生院|门诊部|总院|分院)"
_MIDDLE_ZH = (
    r"(?:省|市|区|县|大学|医科大学|医学院|附属|第?[一二三四五六七八九十]+|人民|中心|中医|中西医|结合|眼视光|眼科|儿童|妇幼"
    r"|保健|总|军区|武警)"
)
_NUMERAL = r"[零〇○一二三四五六七八九幺十\d]"
_LABEL_ZH = (
    r"(?:住院|门诊|病案|病历|就诊|检查|急诊|报告|登记|挂号|医保|社保|身份证|银行|诊疗|影像|标本)(?:卡|单)?(?:号码?|编号)"
    r"|编号|卡号|账号"
)
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sep(?:t(?:ember)?)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_WORD = r"(?:[A-Z]['’])?[A-Z][a-zà-ÿ]+(?:[-'’][A-Z][a-zà-ÿ]+)*"
_NAME_EN = rf"(?:[A-Z]\. ?)*{_WORD}(?: [A-Z]\.)?(?: {_WORD}){{0,2}}"
_LABEL_EN = (
    r"(?i:MRN|NHS|SSN|(?:hospital|admission|account|chart|lab|laboratory|insurance|policy|passport"
    r"|patient|record|member|licen[cs]e|case|medical record|ID(?: card)?))"
    r"(?i:(?: ?(?:number|no\.?|ID|card|#)|\b))?"
)
_KIN_EN = (
    r"(?:[Hh]usband|[Ww]ife|[Ss]on|[Dd]aughter|[Mm]other|[Ff]ather|[Bb]rother|[Ss]ister|[Ff]riend"
    r"|[Nn]eighbour|[Nn]eighbor|[Gg]rand(?:mother|father|son|daughter)|[Pp]artner|[Aa]unt|[Uu]ncle)"
)

#: Expression with what goes as group x, what stands for it, and whether the library's words stay.
_RULES = tuple(
    (re.compile(expression, re.MULTILINE), mark, guarded)
    for expression, mark, guarded in (
        (r"(?P<x>https?://\S+|www\.\S+)", "[link]", False),
        (r"(?P<x>[\w.+-]+@[\w-]+\.[\w.]+)", "[address]", False),
        (
            r"(?P<x>(?i:微信|QQ|wechat|whatsapp)(?:同号|号|id)?\s*[:：]?\s*"
            r"(?:\+?\d[\d -]{5,}\d|[A-Za-z0-9_][\w-]{4,}))",
            "[address]",
            False,
        ),
        # Dates, before numbers.
        (
            rf"(?P<x>(?:\d{{2,4}}|[〇零○一二三四五六七八九]{{4}})\s*年\s*{_NUMERAL}{{1,3}}\s*月"
            rf"(?:份|\s*{_NUMERAL}{{1,3}}\s*[日号])?|{_NUMERAL}{{1,3}}月{_NUMERAL}{{1,3}}[日号])",
            "[date]",
            False,
        ),
        (
            r"(?<![\d.路街道巷弄])(?P<x>\d{1,2}号)(?=就诊|复查|手术|出诊|去|来|做|检查)",
            "[date]",
            False,
        ),
        (r"(?<!\d)(?P<x>(?:19|20)\d{2}[-/.]\d{1,2}[-/.]\d{1,2})(?!\d)", "[date]", False),
        (
            r"(?<![\d/.])(?P<x>\d{1,2}([-/.])\d{1,2}\2(?:19|20)?\d{2})(?![\d/]|\.\d)",
            "[date]",
            False,
        ),
        (
            rf"\b(?P<x>\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? (?:19|20)\d\d)?"
            rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?(?:,? (?:19|20)\d\d)?)(?!\d)",
            "[date]",
            False,
        ),
        # Numbers.
        (
            rf"(?:{_LABEL_ZH})\s*[:：是为]?\s*(?P<x>[A-Za-z]{{0,4}}\d[\dA-Za-z-]{{2,}})",
            "[number]",
            False,
        ),
        (
            rf"\b{_LABEL_EN}\s*[:#]?\s*(?P<x>(?=[\dA-Z-]{{4}}|\d{{3}}[ -]\d)"
            r"[A-Z]{0,3}-?\d[\dA-Z]*(?:[ -]\d[\dA-Z]*)*)",
            "[number]",
            False,
        ),
        (rf"(?P<x>{_NUMERAL.replace('十', '')}{{7,}}[Xx]?)", "[number]", False),
        (
            r"(?<![\d.])(?P<x>(?:\+\d{1,3}[ -]?)?(?:\(\d{2,5}\)[ -]?|\d{2,5}[ -])\d{3,4}"
            r"(?:[ -]?\d{3,4}){1,2}|\+\d{7,14}|0\d{2,4}[ -]\d{6,8}|\d{3}-\d{2}-\d{4})(?!\d)",
            "[number]",
            False,
        ),
        (
            r"(?:电话|手机|座机|传真|(?i:tel|phone|mobile|fax|call))[^\d\n+(]{0,12}"
            r"(?P<x>\+?[\d(][\d() —–-]{5,}\d)",
            "[number]",
            False,
        ),
        # Hospitals and places.
        (
            rf"(?P<x>(?<!\d)\d{{3}}医院|(?:[市省县]|{_HAN}{{1,2}}大)第?[一二三四五六]附?院"
            r"|(?:同仁|协和|华西|湘雅|瑞金|齐鲁|西京|北医|爱尔|普瑞)(?!医院|[三眼科兰]))",
            "[hospital]",
            False,
        ),
        (
            rf"(?P<x>(?:{_PLACE_ZH})?{_any('hospitals')}(?:{_MIDDLE_ZH})*"
            rf"(?:{_HOSPITAL_END}|院|眼科))",
            "[hospital]",
            False,
        ),
        (
            rf"(?P<x>{_PLACE_ZH}{_HAN}{{0,6}}?(?:{_MIDDLE_ZH})*{_HOSPITAL_END})",
            "[hospital]",
            False,
        ),
        (
            r"(?P<x>(?:(?:[\u4e00-\u9fff]{2}(?=[市区县]))?[省市区县]|第[一二三四五六七八九十]+|人民|军区)"
            rf"(?:{_MIDDLE_ZH})*(?:(?<=人民|第.|军区|中心|妇幼|中医)|(?<=总)){_HOSPITAL_END})",
            "[hospital]",
            False,
        ),
        (
            rf"(?:^|(?<=[去到在来从往找的是转，。：、\s]))(?P<x>(?:(?![我你他她们离去到在来不要是有])"
            rf"{_HAN}){{2,4}}?)(?:{_MIDDLE_ZH})*{_HOSPITAL_END}",
            "[hospital]",
            True,
        ),
        (
            # Not 遮住黄斑区 nor 来自视网膜周边区.
            r"(?:地址[:：]?|住址[:：]?|户籍[:：]?|家在|住在|(?:^|(?<=[^\u4e00-\u9fff])|(?<=[我们现家居]))住(?!院))"
            rf"\s*(?P<x>{_HAN}{{2,12}}?(?:[省市区县镇乡村路街道巷号]|小区)[\u4e00-\u9fff\d]{{0,20}})",
            "[place]",
            False,
        ),
        (rf"来自(?P<x>{_HAN}{{2,8}}?[省市县镇乡村])", "[place]", True),
        (rf"(?P<x>{_HAN}{{2,3}}(?:路|街|大街|大道)\d+号)", "[place]", False),
        (
            rf"(?<!复)(?P<x>{_PLACE_ZH}(?:{_PLACE_ZH})?(?:{_HAN}{{2,3}}[市区县镇])?)"
            r"(?!话|人群|眼病|眼科研究|研究|标准|共识|学校|试验|\d+分钟)",
            "[place]",
            False,
        ),
        (
            rf"\b(?P<x>{_any('hospitals_en')}(?: (?:Eye )?(?:Hospital|Institute|Clinic))?)\b",
            "[hospital]",
            False,
        ),
        (
            rf"\b(?P<x>(?:(?:St\.? )?{_WORD}(?:['’]s?)? (?:and )?)+(?:Eye )?"
            r"(?:Hospital|Clinic|Infirmary|NHS (?:Foundation )?Trust|Medical Cent(?:er|re))"
            rf"(?: of {_WORD})?)",
            "[hospital]",
            False,
        ),
        (
            rf"\b(?P<x>\d{{1,5}} (?:{_WORD} )+(?:Street|Road|Avenue|Lane|Drive|Close|St|Rd|Ave)\b"
            rf"(?:, {_WORD})*(?: [A-Z]{{1,2}}\d[A-Z\d]? \d[A-Z]{{2}})?)",
            "[place]",
            False,
        ),
        (r"\b(?P<x>[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2})\b", "[place]", False),
        (
            r"\b(?i:(?:live|lives|living|lived|moved|come|came|born|grew up|resident)"
            rf" (?:in|from|to|near|of)) (?P<x>{_WORD}(?: {_WORD})?(?:, {_WORD})*(?: \d{{5}})?)",
            "[place]",
            True,
        ),
        (
            rf"\b(?P<x>{_any('places_en')})\b(?! (?:Eye|Study|Trial|Consensus|and Midland))",
            "[place]",
            False,
        ),
        # Persons.
        (
            rf"{_BEFORE_ZH}(?P<x>[小老]?{_SURNAME}{_HAN}{{0,2}}?)"
            rf"(?={_TITLE_ZH})",
            "[name]",
            True,
        ),
        # A given name alone, which no list of surnames knows.
        (
            rf"(?:(?<=谢谢|感谢|麻烦|请问)|^)(?P<x>(?:(?![科院谢]){_HAN}){{2,3}}?)"
            r"(?=大夫|主任|教授|医生)",
            "[name]",
            True,
        ),
        (
            r"(?:姓名|名字[是叫:：]|联系人|签名|签字)(?:是|叫|为)?\s*[:：]?\s*"
            rf"(?P<x>{_HAN}{{2,4}}?)(?=[^\u4e00-\u9fff]|性别|年龄|电话|男|女|$)",
            "[name]",
            False,
        ),
        (r"(?:我叫|名叫)(?P<x>[\u4e00-\u9fff]{2,3})", "[name]", False),
        (rf"我姓(?P<x>{_SURNAME})", "[name]", False),
        (
            rf"(?:主治|主诊|主刀|手术|责任|接诊)(?:医生|医师|护士)[:：\s]*(?P<x>{_NAME_ZH}){_AFTER_ZH}",
            "[name]",
            True,
        ),
        (
            rf"(?:{_KIN_ZH})[，,：:\s]?\s*(?P<x>{_NAME_ZH}|小{_HAN}){_AFTER_ZH}",
            "[name]",
            True,
        ),
        (rf"(?:女儿|儿子|孩子|孙子|孙女)(?:叫)?(?P<x>小{_HAN})", "[name]", True),
        (
            rf"(?:^|(?<=[^\u4e00-\u9fff]))(?P<x>{_NAME_ZH})(?=[，,\s]*(?:男|女|\d+岁)|[，,]\s*双眼)",
            "[name]",
            True,
        ),
        (
            r"\b(?:(?:[Dd]r|Mr|Mrs|Ms|Miss|Prof)\.?|Professor|Nurse|[Dd]octor) "
            rf"(?P<x>(?!faculty){_NAME_EN})",
            "[name]",
            False,
        ),
        (
            r"\b(?:[Mm]y name is|[Nn]ame:|[Pp]atient:|[Ss]igned(?: by)?,?|[Dd]ictated by"
            rf"|[Rr]egards,|[Yy]ours \w+,|[Tt]he patient,|[Dd]ear|[Ss]ister) (?P<x>{_NAME_EN})",
            "[name]",
            True,
        ),
        (
            r"\b(?:I am|I'm|Hi,|Hello,|[Tt]his is"
            r"|(?:seen|treated|examined|operated on|referred) by)"
            rf" (?P<x>{_NAME_EN})(?=[,.]|['’]s| here| and| from| on|$)",
            "[name]",
            True,
        ),
        (rf"\b{_KIN_EN},? (?P<x>{_NAME_EN})", "[name]", True),
        (
            r"^(?!(?:Dear|Hello|Thanks?|Is|Are|Do|Does|Can|What|How|Why|The|My)\b)"
            rf"(?P<x>{_WORD}(?: [A-Z]\.)?(?: {_WORD}){{1,2}})"
            r"(?= ?[,(]| (?:is|was|has|had|reports|presented|came|complains|underwent)\b)",
            "[name]",
            True,
        ),
        (rf"^(?P<x>{_WORD})(?= is my )", "[name]", True),
    )
)


def is_word(text: str) -> bool:
    """Whether a text is a word of the eye clinic, or of ordinary talk, and not a name."""
    chinese, english = vocabulary()
    if re.fullmatch(_HAN, text):  # a surname before a title
        return False
    if text in _ORDINARY or (re.match(_HAN, text) and text in chinese):
        return True
    words = re.findall(r"[a-zà-ÿ]+", text.lower())
    return bool(words) and all(word in english for word in words)


def redact(text: str) -> tuple[str, int]:
    """Return a text without traces of a person, and how many were redacted.

    A title stays behind where it is one's own role in the talk ('医生', 'Doctor').
    """
    count = 0
    for rule, mark, guarded in _RULES:

        def swap(match: re.Match[str], mark: str = mark, guarded: bool = guarded) -> str:
            nonlocal count
            if guarded and is_word(match["x"]):
                return match[0]
            count += 1
            start, end = (place - match.start() for place in match.span("x"))
            return match[0][:start] + mark + match[0][end:]

        text = rule.sub(swap, text)
    return text, count
