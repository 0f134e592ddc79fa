"""De-identification: names, places, dates, links and telephone numbers of people are redacted.

Rules and not a model: they redact too much rather than too little, and they are no guarantee.
"""

from __future__ import annotations

import re

_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈"
    "姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史翟鞠陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
_RULES: tuple[tuple[str, str], ...] = (
    (r"https?://\S+|www\.\S+", "[link]"),
    (r"[\w.+-]+@[\w-]+\.[\w.]+", "[address]"),
    (r"(?<!\d)1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?!\d)|(?<!\d)0\d{2,3}-\d{7,8}(?!\d)", "[telephone]"),
    (r"(?<![\d.])\+?\d{1,3}[ -]\(?\d{2,4}\)?[ -]\d{3,4}[ -]?\d{3,4}(?!\d)", "[telephone]"),
    (r"(?<!\d)\d{17}[\dXx](?!\d)", "[number]"),
    (r"(微信|QQ|qq|wechat|WeChat)(号)?\s*[:：]?\s*[\w-]{5,}", "[address]"),
    (r"\d{2,4}\s*年\s*\d{1,2}\s*月(份|\s*\d{1,2}\s*[日号])?|\d{1,2}月\d{1,2}[日号]", "[date]"),
    (r"(?<!\d)(19|20)\d{2}[-/.]\d{1,2}[-/.]\d{1,2}(?!\d)", "[date]"),
    (
        r"\b\d{1,2} (January|February|March|April|May|June|July|August|September|October|November"
        r"|December) (19|20)\d{2}\b",
        "[date]",
    ),
    (
        r"[\u4e00-\u9fff]{2,8}(省|自治区)[\u4e00-\u9fff]{0,8}"
        r"|[\u4e00-\u9fff]{2}路\d+号"
        r"|[\u4e00-\u9fff]{2,4}市(?!场|面|民|区的)"
        r"|[\u4e00-\u9fff]{2,10}(医院|门诊部|眼科中心)(?!就诊|检查|看)",
        "[place]",
    ),
    (rf"[{_SURNAMES}][\u4e00-\u9fff]{{0,2}}(医生|大夫|主任|教授|先生|女士|护士)", "[name]"),
    # A given name alone, which no list of surnames knows.
    (
        r"(?<=谢谢|感谢|麻烦|请问)[\u4e00-\u9fff]{2}(?<!医生)(?<!各位)(?<!这位)(大夫|主任|教授)"
        r"|^[\u4e00-\u9fff]{1,3}(大夫|主任|教授)(?=[，,：:。您你好])",
        "[name]",
    ),
    (r"我叫[\u4e00-\u9fff]{2,3}|姓名\s*[:：]\s*[\u4e00-\u9fff]{2,4}", "[name]"),
    (r"\b(Dr|Mr|Mrs|Ms|Prof)\.? [A-Z][a-z]+( [A-Z][a-z]+)?", "[name]"),
    (r"\b[Mm]y name is [A-Z][a-z]+( [A-Z][a-z]+)?", "[name]"),
)


def redact(text: str) -> tuple[str, int]:
    """Return a text without traces of a person, and how many were redacted.

    A title stays behind where it is one's own role in the talk ('医生', 'Doctor').
    """
    count = 0
    for pattern, mark in _RULES:
        text, found = re.subn(pattern, mark, text)
        count += found
    return text, count
