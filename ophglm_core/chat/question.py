"""A question, understood once: what it names, what it asks for, and what may answer it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..conditions import LabelSet
from ..knowledge.everyday import as_meant
from ..knowledge.library import GENERAL_SUBJECTS, subjects_named
from ..wording import is_chinese, word_count
from .unread import asks_unread

_ABOUT_PHOTOGRAPH = re.compile(
    r"\b(?:photo\w*|image|picture|this eye|these eyes|finding|result|reading|classifier"
    r"|the other eye"
    r"|do i have|have i got|does (?:he|she|the patient) have|compare"
    r"|(?:do|does|can|could) (?:you|it|the (?:model|program|classifier|app|ai)) (?:detect|find|see"
    r"|spot|recogni[sz]e|look for|screen for|diagnose|pick up))\b"
    r"|你(?:能|会|可以|可)?(?:查出|检测|发现|识别|看出|诊断|筛查)"
    r"|^\W*what(?:'s| is) (?:this|it|that)\W*$|照片|图像|图片|这只眼|结果|概率|另一只眼|比较"
    r"|^\W*这?是什么\W*$",
    re.IGNORECASE,
)

#: A question for a dose, and not one about doses, such as which risks there are besides.
_ASKS_DOSE = re.compile(
    r"\b(?:what(?:'?s)?|which|how (?:much|high|big|strong)|right|correct|usual|typical|normal"
    r"|standard|max\w*|starting|initial|recommended|safe|exact|loading|daily)\b(?:(?!apart|besides|than|risk)[^.?!,;:]){0,30}"
    r"\bdos(?:e|es|age|ing)\b"
    r"|^\W*(?:the )?dos(?:e|es|age|ing)\b|(?<!from )(?<!than )(?<!besides )\bdos(?:e|age|ing)\W*"
    r"(?:pls|please)?(?:\?|\W*$)|\bmg(?:/kg)?\s*\?"
    r"|\b(?:need|give|tell|know|want)\b[^.?!]{0,30}\bdos(?:e|age|ing)\b"
    r"|\b(?:how (?:many|much)|\d+) (?:milligrams?|mg)\b(?!/)"
    r"|\bwhat (?:strength|concentration|percentage)\b"
    r"|\bhow (?:many|much) (?:\w+ )?(?:drops|pills|tablets|units|ml)\b"
    r"|\bhow (?:many|much) (?!weight|importance|attention|time|trust|notice).{0,60}"
    r"\b(?:take|give|prescribe|start|use|put in)\b"
    r"|(?:什么|多少|多大|怎么|几|的)剂量|^\W*剂量|剂量(?:是|应|该|多少|怎么|呢|？|\?|$)"
    r"|多少(?:毫克|克|片|滴|毫升|mg|浓度)|什么浓度|用量|(?:每|一)次(?:用|吃|滴|点)?(?:几|多少)[滴片粒]?|[先给](?:用|给)?多少\W*$|起始(?:量|给|用)*多少|(?:吃|用|服|滴|开)(?:多少|几)(?:片|滴|粒|次"
    r"|毫克)?",
    re.IGNORECASE,
)
#: What insists on a number that was refused.
_INSISTS = re.compile(
    r"\b(?:roughly|about|approx\w*|ball ?park|rough idea|just (?:a|the|give|tell)|a number|come on"
    r"|i'?m (?:a|the|an|her|his) (?:doctor|nurse|gp|physician|ophthalmologist|optometrist"
    r"|pharmacist|consultant|resident)|strength|how (?:many|much|often)|in general|normally"
    r"|usually|typical)\b"
    r"|大概|大约|左右|说个数|个数|我是(?:医生|护士|大夫|药师)|估计|一般|通常|浓度|剂量|告诉我|到底",
    re.IGNORECASE,
)
_MOST_WORDS_TO_INSIST = 9

#: Questions about this reading and the program, which no entry of the library answers.
_ABOUT_READING = {
    "where": r"\bwhere\b.{0,20}\b(?:did|do|does) (?:you|it|the (?:model|program|classifier)) look\b"
    r"|\bheat ?maps?\b|热力?图"
    r"|^\W*where (?:is|are) (?:it|they|the (?:lesions?|changes?|signs?|abnormalit\w+))\W*$"
    r"|^\W*(?:show me|point (?:to|at)) (?:it|them|where(?: it is)?|the lesions?)\W*$"
    r"|^\W*(?:病变|病灶|异常)?在(?:哪|哪里|哪儿|什么位置)\W*$|看(?:的是)?哪(?:里|儿|个部位)",
    "quality": r"^\W*how (?:good|bad|sharp) is (?:this|the) (?:photo\w*|picture|image)\W*$"
    r"|^\W*is (?:this|the) (?:photo\w*|picture|image) (?:gradable|good enough(?: to be judged)?"
    r"|usable|sharp(?: enough| and well lit)?"
    r"|blurr(?:y|ed)|of good quality)\W*$"
    r"|\b(?:image|picture|photo(?:graph)?) quality\W*$|^\W*is the quality of (?:this|the) "
    r"|^\W*can (?:this|the) (?:photo\w*|picture|image) be (?:graded|judged)\W*$"
    r"|(?:照片|图像|图片)(?:是否|够不够|可以|能)?(?:清晰|清楚|判读)|(?:照片|图像|图片)(?:的)?(?:质量|清晰度)",
    "certainty": r"how (?:sure|certain|confident|reliable|accurate)\b|\bare you (?:sure|certain)"
    r"|can (?:i|we) (?:trust|rely on) (?:you|this|it)|多大把握|有把握|确定吗|可靠吗|准确吗|准不准"
    r"|\bcan (?:you|it|this) be wrong\b"
    r"|\b(?:definit\w+|certainly|totally|completely|absolutely) (?:nothing wrong|normal"
    r"|healthy|fine|clear)\b|会不会(?:看|弄|搞|判)错",
    "limits": r"what else (?:could|can|might) (?:it|this) be|\b(?:some|any)thing else\b"
    r"|(?:did|could|might|can) (?:you|it) (?:have )?miss|还可能是什么|还有(?:别的|其他)|会不会漏",
    "urgency": r"^\W*(?:who (?:should|shd|must|needs to) see (?:it|this|him|her|them)"
    r"(?:,? and how soon)?|is (?:it|this) (?:urgent|serious|dangerous|bad"
    r"|an emergency)|how (?:urgent|serious|bad) is (?:it|this)"
    r"|should (?:i|we) (?:worry|be worried|see a doctor)"
    r"|how (?:soon|quickly) (?:should|must|does) (?:he|she|it|this|i|the patient)"
    r"(?: need to| have to)? be (?:seen|referred|examined|checked)"
    r"|(?:do|does|should|must) (?:i|he|she|we|the patient|this) (?:need to |have to )?"
    r"(?:go to (?:the )?(?:hospital|eye clinic)|see (?:a doctor|an ophthalmologist)"
    r"|be (?:seen|referred))(?: (?:now|today|at once|urgently|immediately|right away))?"
    r"|should (?:i|we) (?:send|refer) (?:him|her|them|it|this|the patient)"
    r"(?: (?:in|on|to (?:the )?(?:er|a ?& ?e|hospital|casualty|emergency(?: department)?|eye clinic"
    r"|ophthalmolog\w+)))?(?: (?:now|today|at once|urgently))?"
    r"|what (?:should|do|must) (?:i|we) do(?: now| next)?|what(?:'s| is| happens) next)\W*$"
    r"|^\W*(?:这?(?:严重|紧急|要紧|急)(?:吗|不)?|(?:我|现在)*(?:该|应该)?怎么办"
    r"|(?:需?要)?(?:马上|立刻|立即|赶紧|尽快|现在)?(?:就?要?去医院|看医生|就诊|就医|转诊)吗"
    r"|多久(?:内|之内)?(?:要|应该?|需要)?(?:去医院|看医生|就诊|就医|转诊))\W*$",
    "severity": r"^\W*(?:and |so )?(?:what|which) (?:grade|stage|degree)"
    r"(?: is (?:it|this|that))?\W*$"
    r"|^\W*how (?:severe|advanced) is (?:it|this|that)\W*$"
    r"|^\W*(?:这?是?)?(?:几级|哪一?[级期]|第几[级期]|什么分?[级期]|多严重"
    r"|严重程度(?:如何|怎样)?)\W*$",
    "change": r"\b(?:worse|better|changed?|progress\w*|grown|bigger)\b.{0,30}"
    r"\b(?:than|since|from)\b.{0,20}\b(?:last|previous|earlier|old)"
    r" (?:photo\w*|pic\w*|image|scan|visit|time|one)\b"
    r"|(?:跟|和|比)(?:上次|去年|以前|之前|上回|前年).{0,12}(?:重|轻|好|差|变|发展|进展|一样|对比)",
    "inability": r"当(?:成|作|做)?.{0,4}(?:诊断|证明|病历)",
    "open_photograph": r"\bhow (?:do|can|would) (?:i|we) (?:open|show you|load|upload|send)\b"
    r"|(?:怎么|咋|如何)(?:打开|上传|发)(?:照片|图片?|片子)?(?:呢|啊)?\W*$"
    r"|(?:怎么|咋|如何)把?(?:照片|图片?|片子)(?:给|发|传)",
    "others": r"\b(?:second|2nd|next) (?:most )?(?:likely|probable)\b|\bwhat else was considered\b"
    r"|\b(?:all|other) (?:the )?probabilities\b|第二可能|(?:其他|其它|别的)(?:病)?的?概率",
    "abilities": r"what can you do|who (?:are|made) you|are you (?:a |an )?(?:real |actual )?"
    r"(?:doctor|human|robot|ai)\b|\b(?:what|which) (?:diseases|conditions) can (?:you|u|it)\b"
    r"|\bwithout a (?:photo\w*|picture|image)\b.{0,20}\b(?:ask|use|work)"
    r"|(?:没有?|不给?)(?:照片|图片?)也?(?:能|可以)(?:问|用)"
    r"|你(?:是谁|能做什么|会什么|会干(?:啥|嘛|什么)|是(?:医生|人)吗)",
}

#: How good the program is, in general or at a condition that is named.
_ACCURACY = re.compile(
    r"\bhow (?:accurate|good|reliable|sensitive|specific|often (?:right|wrong)) (?:are you"
    r"|is (?:this|the|your) (?:program|model|classifier|ai|tool|system|software))\b"
    r"|\bhow (?:accurate|good|reliable) are you (?:at|for|with|in)\b"
    r"|\b(?:your|the (?:model|program|classifier|ai)'s) (?:accuracy|sensitivity|specificity|auc"
    r"|false (?:positive|negative)s?|error rate)\b"
    r"|(?:你|程序|模型|分类器|系统)(?:对|在|检测|识别|的)?.{0,12}(?:准确率|灵敏度|敏感性|敏感度|特异性"
    r"|特异度|有多准)",
    re.IGNORECASE,
)

_SHOWN = r"(?:fundus |retinal )?(?:photograph|photo|picture|image|scan|eye|retina|fundus)"
_THIS = rf"(?:this|the|that|my|his|her|their|it)(?: {_SHOWN}| patient(?:'s {_SHOWN})?)?"
_HERE = (
    rf"(?:,? ?(?:present|visible|seen|found|here|there|to be seen|(?:in|on|from) {_THIS}"
    r"|in (?:either|both|the left|the right) eyes?))*"
)
_SIGNS = (
    r"(?:(?:any|a|an|the|some) )?(?:(?:early|possible|clear) )?"
    r"(?:(?:signs?|evidence|suspicion|indications?|features?|changes) "
    r"(?:of|that suggest|suggesting) )?"
    r"(?:(?:any|a|early|late) )?"
)
#: Forms of the questions that the fusion module was trained on, by kind; `{name}` is a condition.
#: A question is of a kind only if it is nothing else: 'Is it safe with DR to become pregnant?' also
#: names a condition, and no photograph answers it.
_FORMS: dict[str, tuple[str, ...]] = {
    "presence": (
        rf"(?:is|are) there {_SIGNS}{{name}}{_HERE}",
        rf"(?:does|do) {_THIS} (?:show|have|contain|suggest|look like) {_SIGNS}{{name}}{_HERE}",
        rf"(?:do|can|could) you (?:see|find|detect|spot|make out) {_SIGNS}{{name}}{_HERE}",
        rf"is {_SIGNS}{{name}}{_HERE}",
        rf"(?:look at {_THIS}[:,]? )?is (?:it|this) {_SIGNS}{{name}}{_HERE}",
        rf"would you say (?:that )?{_THIS} has {_SIGNS}{{name}}",
        rf"(?:should|can|could) {{name}} be (?:suspected|made out|seen|found){_HERE}",
        rf"(?:do i|have i|does (?:he|she|the patient)|has (?:he|she|the patient)) (?:have|got) "
        rf"{_SIGNS}{{name}}{_HERE}",
        rf"any {_SIGNS}{{name}}{_HERE}",
        r"(?:从)?(?:这张|该|此|这个|这只|这|图中|这里|我|患者|你)?(?:眼底)?(?:照片|图像|图片|视网膜"
        r"|眼睛|眼)?"
        r"(?:中|里)?(?:有没有|是否有|有|是否存在|存在|可见|是否可见|看到|能看到|是不是|是|能怀疑"
        r"|看出来是|看着像|像不像|像是|像)"
        r"{name}的?(?:征象|表现|迹象|病变)?(?:了|是)?(?:吗|么|呢|吧)?",
    ),
    "normal": (
        rf"is (?:everything (?:normal|fine|ok|okay|healthy){_HERE}|{_THIS} (?:a )?"
        rf"(?:normal|healthy)(?: {_SHOWN})?)",
        rf"does {_THIS} show a (?:healthy|normal) (?:retina|eye|fundus)",
        rf"(?:is there no|is {_THIS} free of) disease{_HERE}",
        rf"would you call {_THIS} (?:normal|healthy)",
        r"(?:这张|该|此|这只|图中|这个)?(?:照片显示的是|眼底|照片|图像|眼睛|视网膜)?(?:一切)?"
        r"(?:是)?(?:否)?(?:正常|健康|没有病变|健康的视网膜)(?:吗|么)?",
    ),
    "which": (
        rf"what do you see{_HERE}",
        rf"what (?:does|did) {_THIS} show",
        rf"(?:which|what) (?:conditions?|diseases?|findings?)(?: does| do| are| is)?"
        rf"(?: {_THIS} show| visible| there| shown)?{_HERE}",
        rf"which of the common fundus diseases are visible{_HERE}",
        r"(?:please )?(?:describe|name|list|summari[sz]e|report|give me) (?:the|its|your)"
        r" (?:findings|results?)",
        rf"name the diseases that {_THIS} shows?",
        rf"what (?:is|can be) (?:found|seen|shown){_HERE}",
        rf"what would you report(?: for {_THIS})?",
        rf"what is wrong with {_THIS}(?:, if anything)?",
        rf"is (?:there )?anything wrong with {_THIS}",
        r"(?:请)?(?:描述|说出|总结|概括)(?:一下)?(?:所见|结果|照片结果|这只眼睛的病变)|(?:这张)?(?:眼底)?(?:照片|图像)?"
        r"(?:显示了哪些疾病|怎么样|应如何报告)|图中有什么发现|你(?:在这张眼底照片中)?看到了什么"
        r"|可见哪些常见眼底病",
    ),
    "severity": (
        rf"how (?:severe|advanced|bad) is (?:the |this )?{{name}}{_HERE}",
        rf"(?:which|what)(?: is the)? (?:stage|grade|form|type|degree|severity)(?: or degree)?"
        rf"(?: of)?(?: the| this)? {{name}}(?: shown)?(?: is (?:this|it|shown)| does {_THIS} show)?"
        rf"{_HERE}",
        rf"(?:grade|stage) (?:the |this )?{{name}}{_HERE}",
        r"(?:请对图中的)?{name}(?:的严重程度如何|是哪一期|分级)|这是{name}的哪一期"
        r"|图中{name}属于哪种类型或程度",
    ),
    "eye": (
        rf"is (?:this|it) (?:a |the )?left (?:eye )?or (?:a |the )?right(?: eye)?{_HERE}",
        rf"which (?:eye|side) (?:is (?:this|it|shown)|was photographed){_HERE}",
        rf"does {_THIS} show the left or the right eye",
        r"left or right(?: eye)?",
        r"(?:这是|照片拍的是)?(?:左眼还是右眼|哪只眼睛?)",
    ),
    "compare": (
        r"(?:please )?compare (?:the |these )?(?:two |both )?(?:eyes|photographs|pictures)",
        r"do (?:both|the two) eyes show the same(?: conditions?| diseases?)?",
        r"do these two photographs.* show the same conditions",
        r"(?:is there a|what is the) difference between (?:the )?(?:two|both) eyes",
        r"what differs between the left and the right eye",
        r"(?:请比较双眼|两只眼睛的表现相同吗|左右眼照片显示的病变一样吗|双眼有差别吗)",
    ),
}
_ABOUT_CONDITION = frozenset({"presence", "severity"})


@dataclass(frozen=True)
class Question:
    """What a question asks.

    conditions: those of the model's labels that it names, as keys. beyond: subjects of the library
    that it names and the model does not look for. about_photograph: whether it asks about this
    photograph. vqa_kind: which of the kinds of questions it is that the fusion module was trained
    on, None for all others. asks_dose: whether it asks how much of a drug is taken. about_reading:
    what it asks of this reading or the program: 'certainty', 'limits', 'urgency', 'severity',
    'quality', 'where', 'accuracy', 'abilities', 'inability', 'reason', 'others', 'sources',
    'disagreement', 'privacy', 'open_photograph', 'another' (what that is) or 'change' (since an
    earlier photograph). asks_unread: whether it asks this photograph for
    a single sign or a measure, which the model does not read. wanted: what it asks in other words,
    where its own leave something out.
    """

    text: str
    language: str
    conditions: tuple[str, ...]
    beyond: tuple[str, ...]
    about_photograph: bool
    vqa_kind: str | None
    asks_dose: bool = False
    about_reading: str | None = None
    asks_unread: bool = False
    wanted: str = ""

    @property
    def looked_up(self) -> str:
        """What is asked, in words that say all of it."""
        return self.wanted or self.text


def parse_question(text: str, labels: LabelSet) -> Question:
    """Understand a question. labels: of the model that looked at the photograph.

    Example: `parse_question("Do you see glaucoma?", labels).vqa_kind` is 'presence'.
    """
    typed, text = text, as_meant(text)
    conditions = labels.named_in(text)
    named = subjects_named(text)
    beyond = [key for key in named if key not in labels and key not in GENERAL_SUBJECTS]
    return Question(
        text=typed,
        language="zh" if is_chinese(text) else "en",
        conditions=tuple(conditions),
        beyond=tuple(beyond),
        about_photograph=bool(_ABOUT_PHOTOGRAPH.search(text)),
        vqa_kind=None if beyond else _vqa_kind(text, labels, conditions),
        asks_dose=bool(_ASKS_DOSE.search(text)),
        about_reading=_about_reading(text, named=bool(conditions or beyond)),
        asks_unread=asks_unread(_plain(text)),
        wanted=text if text != typed else "",
    )


_EYE = re.compile(
    r"\b(?:which|what) (?:eye|side)\b|\bleft or right\b|左眼还是右眼|哪只眼|哪侧", re.IGNORECASE
)


def asks_which_eye(text: str) -> bool:
    """Whether a text asks which eye is shown, perhaps along with something else."""
    return bool(_EYE.search(text))


def insists_on_dose(question: Question) -> bool:
    """Whether a question that follows a refused dose asks for it again, as in 'just roughly'."""
    named = question.conditions or question.beyond
    brief = word_count(question.text) <= _MOST_WORDS_TO_INSIST
    of_its_own = re.search(
        r"\b(?:what|how) do(?:es)?\b|\bwhy\b|作用|为什么|副作用", question.text, re.I
    )
    return brief and not named and not of_its_own and bool(_INSISTS.search(question.text))


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.strip().strip("?？.。!！").strip().lower())


def _about_reading(text: str, named: bool) -> str | None:
    """named: whether the text names a disease."""
    if _ACCURACY.search(text):
        return "accuracy"
    if named:
        return None
    return next(
        (k for k, form in _ABOUT_READING.items() if re.search(form, text, re.IGNORECASE)), None
    )


#: What is put behind a question to press for a yes or a no.
_FOR_CERTAIN = re.compile(
    r"[,.?;:\s]*(?:just )?(?:yes or no|for (?:certain|sure)|straight answer)\W*$"
    r"|^我?(?:妈|爸|爷爷|奶奶|老公|老婆|孩子)?(?=这[个张])|[，,。？?\s]*(?:给个准话|直说|是还是不是)\W*$"
)


#: What is asked besides whether there is something; the findings say it with the grade.
_AND_HOW_SEVERE = re.compile(
    r"[,;?.\s]+(?:and|if so)[,\s]+(?:if so[,\s]+)?"
    r"(?:how (?:severe|bad|serious|advanced)|(?:what|which) (?:grade|stage))"
    r"(?: (?:is|would) (?:it|that|this)(?: be)?)?$"
    r"|[,，、？?\s]+(?:如果有[,，]?)?(?:有多严重|严重吗|几级|哪一?级|什么程度)$"
)


def _vqa_kind(text: str, labels: LabelSet, conditions: list[str]) -> str | None:
    plain = _FOR_CERTAIN.sub("", _plain(text)).strip(" ,?.，？。")
    if len(conditions) > 1:
        return None
    name = rf"(?:the )?(?:{labels[conditions[0]].pattern})(?:病变)?" if conditions else ""
    whether = _AND_HOW_SEVERE.sub("", plain)
    return _kind_of(plain, name) or (_kind_of(whether, name) if whether != plain else None)


def _kind_of(plain: str, name: str) -> str | None:
    """name: the pattern of the condition that is asked about, or nothing."""
    for kind, forms in _FORMS.items():
        if (kind in _ABOUT_CONDITION) != bool(name):
            continue
        for form in forms:
            pattern = form.replace("{name}", name)
            if re.fullmatch(pattern, plain, re.IGNORECASE):
                return kind
    return None
