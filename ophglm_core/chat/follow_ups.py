"""Turns that ask one usual thing of what was spoken of and say no more: 'tx?', '那咋治'.

So few words tell the library little. What they ask is known all the same, and is looked up in a
whole question that names the subject.
"""

from __future__ import annotations

import re

from ..knowledge.library import subjects

#: What is asked: the pattern of its words in English and Chinese, and the whole questions.
_KINDS = (
    (
        r"(?:(?:is|are) (?:there )?)?(?:any|a)? ?cures?|curable|(?:can|could) (?:it|they) be cured",
        r"(?:能|可以|可)?(?:不能)?(?:治好|治愈|根治|治得好)|有没有得治|有得治",
        ("Can {} be cured?", "{}能治好吗？"),
    ),
    (
        r"(?:how (?:do (?:you|we) )?)?(?:tx|rx|mx|treat(?:ments?|ed|able)?|therap(?:y|ies)"
        r"|manage(?:ment|d)?)(?: options?)?|(?:what can be|anything to be) done"
        r"|what do (?:you|we) do about",
        r"(?:怎么|咋|如何)(?:治疗|治|办|弄|处理)|治疗(?:方法|方案|原则)?|有啥治法|处理(?:原则)?",
        ("How is {} treated?", "{}怎么治疗？"),
    ),
    (
        r"(?:(?:first|early|main|usual|typical) )*(?:symptoms?|sx|signs?|warning signs?)"
        r"(?: to (?:warn (?:him|her|them) (?:about|of)|look out for|watch for))?"
        r"|what (?:should|shd|shoud|do|to|must) ?(?:i|we|he|she|they)? "
        r"?(?:look out|watch out|watch|look) for|what (?:should|shd|would|shoud) make me worry",
        r"(?:有)?(?:啥|什么|哪些)(?:典型|早期)?(?:症状|表现|感觉)|(?:以后)?(?:要|该)?"
        r"(?:警惕|注意|当心|小心)(?:啥|什么|哪些)",
        ("What are the symptoms of {}?", "{}有哪些症状？"),
    ),
    (
        r"(?:fundus )?appearance|what (?:does it|do they) look like"
        r"|(?:fundus|retinal) (?:signs|findings)|(?:on |at )(?:fundoscopy|the fundus)",
        r"(?:眼底)?(?:长|是)?(?:啥|什么)(?:样子?|样的?)|眼底(?:表现|特征|所见)",
        ("What does {} look like on the fundus?", "{}的眼底表现是什么？"),
    ),
    (
        r"(?:which |what |any )?(?:bloods?(?: tests?)?|tests?|investigations?|ix|work-?up|imaging)"
        r"(?: needed| to do| to order)?",
        r"(?:都|还|要|得|该|需要|需)*(?:查|检查|做)(?:些)?(?:啥|什么|哪些)(?:检查)?"
        r"|(?:做|要)?(?:啥|什么|哪些)检查",
        ("Which tests are done for {}?", "{}要做哪些检查？"),
    ),
    (
        r"(?:the )?(?:worst |possible |main )?complications?|what (?:can|could|might) go wrong",
        r"(?:有)?(?:啥|什么|哪些)?并发症",
        ("What are the complications of {}?", "{}有哪些并发症？"),
    ),
    (
        r"prognosis|outlook|long ?-?term(?: outcome)?|(?:does|will|can) it (?:go away|get better"
        r"|recover|resolve|clear)(?: by itself| on its own)?|(?:is it )?(?:permanent|reversible)",
        r"预后(?:呢|如何|怎么样|怎样)?|.{0,9}(?:能|会)恢复|(?:会|能)(?:不会)?(?:自己|自行)?(?:好|恢复|消退|自愈)"
        r"|以后会怎(?:么)?样",
        ("What is the prognosis of {}?", "{}的预后怎么样，能恢复吗？"),
    ),
    (
        r"why (?:is it |so |the )*(?:urgent|rush|hurry)"
        r"|how (?:soon|urgent|quickly|fast)"
        r"(?: (?:is it|to refer|should (?:it|he|she|they) be seen))?",
        r"为(?:什么|啥|何)(?:这么|那么)?急|(?:有)?多(?:急|快)(?:转|看)?|急不急|几天内(?:转|看)",
        ("How soon must {} be seen?", "{}要多快就诊？"),
    ),
    (
        r"how often (?:is it|do i get|am i|should (?:i|he|she|they) be) ?(?:checked|seen|followed)?"
        r"|follow[ -]?up(?: interval)?",
        r"(?:那)?(?:我)?(?:多久|隔多久|多长时间)(?:再)?(?:复查|查|看|随访)(?:一)?(?:次|回|遍)?"
        r"|(?:怎么)?随访(?:间隔)?",
        ("How often is {} checked?", "{}多久复查一次？"),
    ),
    (
        r"(?:the )?(?:main )?(?:causes?|aetiology|etiology)|what causes it",
        r"(?:什么|啥)(?:原因|引起的?)|病因|(?:怎么|咋)(?:来的|得的|引起的)",
        ("What causes {}?", "{}的病因是什么？"),
    ),
    (
        r"(?:the )?(?:main )?risk factors?|who gets it",
        r"(?:有)?(?:啥|什么|哪些)?(?:危险|高危)因素|哪些人(?:容易|会)得",
        ("What are the risk factors for {}?", "{}的危险因素有哪些？"),
    ),
    (
        r"(?:ddx|differential(?: diagnosis)?)",
        r"鉴别(?:诊断)?|(?:要|得|还要|还得)?(?:和|跟)(?:啥|什么|哪些)鉴别",
        ("What is the differential diagnosis of {}?", "{}要和哪些病鉴别？"),
    ),
)
_LONGEST = 80
_LEADS = {
    "en": r"(?:(?:and|so|but|ok(?:ay)?|then|right|well|now|what about|whats|what'?s|what (?:is|are)"
    r"|is there|the|any|its|their|for (?:it|that|this)) ?,? ?)*",
    "zh": r"(?:那|那么|但|而且|这|这个|这种|它|一般|真|到底|请问|万一|如果|有了"
    r"|得了|查出来了|确诊了|[，, ])*",
}
_ENDS = {
    "en": r"(?: (?:then|now|please|pls|for (?:it|that|this)|of (?:it|that)|usually))*",
    "zh": r"(?:呢|啊|呀|吗|么|不|没|了|的)*",
}
_COMPILED = tuple(
    (
        {
            language: re.compile(rf"\W*{_LEADS[language]}(?:{form}){_ENDS[language]}\W*", re.I)
            for language, form in (("en", english), ("zh", chinese))
        },
        wholes,
    )
    for english, chinese, wholes in _KINDS
)


def whole_question(text: str, language: str, subject: str) -> str | None:
    """Return the question that a turn means which says nothing else; None for any other turn.

    subject: what "it" means, a key of the library. language: 'en' or 'zh'.

    Example: `whole_question("tx?", "en", "dr")` is 'How is diabetic retinopathy treated?'.
    """
    if len(text) > _LONGEST:
        return None
    for patterns, wholes in _COMPILED:
        if patterns[language].fullmatch(text):
            return wholes[language == "zh"].format(subjects()[subject].name_in(language))
    return None
