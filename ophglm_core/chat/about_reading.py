"""Answers to what is asked of this reading, or of the program: no entry of the library has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .. import knowledge
from ..conditions import NORMAL, LabelSet
from ..findings import Findings
from ..knowledge.library import Entry, entries
from ..wording import joined, percent
from .parts import NO_PHOTOGRAPH, AnswerPart, found_in, what_to_do, which_eyes
from .question import Question, asks_which_eye

#: Of these the photograph says nothing.
OF_PROGRAM = frozenset(
    {
        *("abilities", "inability", "accuracy", "where", "quality", "sources", "privacy"),
        *("open_photograph", "others", "another", "change"),
    }
)

_ABILITIES = (
    "It is a program and no doctor. It reads a fundus photograph for {}, shows where it looked, "
    "answers questions about the eye from checked statements, and writes letters and summaries.",
    "这是程序，不是医生。它在眼底照片上检测{}，显示依据的区域，"
    "依据经过核对的资料回答眼科问题，并可写信和总结。",
)
_WHERE = (
    "The heat map of a condition shows which parts of the photograph spoke for it: /heatmap and "
    "its name at the prompt, or `ophglm classify --heatmaps FOLDER`. It is a hint and outlines no "
    "lesion.",
    "热力图显示照片的哪些部分支持某一疾病：在提示符下输入 /heatmap 和病名，"
    "或用 `ophglm classify --heatmaps 文件夹`。它只是提示，并不勾画病灶。",
)
_GRADABLE = (
    "It passed the checks of size, brightness, colour, sharpness and of how much of the retina is "
    "in the picture, so it was graded.",
    "照片的大小、亮度、颜色、清晰度和视网膜范围均通过检查，因此可以判读。",
)
_REASON = (
    "It looked at the colour photograph alone, not at eye pressure, visual field, OCT or history. "
    "A neural network that learned from photographs with doctors' labels gives each condition a "
    "probability; /heatmap shows which parts of the photograph spoke for it.",
    "它只看了这张彩色眼底照片，没有眼压、视野、OCT和病史。神经网络从医生标注过的照片中学习，"
    "给出每种疾病的概率；/heatmap 显示照片的哪些部分支持该结果。",
)
_DISAGREES = (
    "An examination counts for more than this reading: it adds eye pressure, visual field, OCT and "
    "history, and sees what a photograph cannot. A photograph without findings does not exclude a "
    "disease, and a finding can be a false alarm. Ask the examiner what was found, and show this "
    "result.",
    "医生的检查比这一读片结果更重要：检查还包括眼压、视野、OCT和病史，能看到照片看不到的内容。"
    "照片未见异常不能排除疾病，照片提示异常也可能是误报。请向检查者询问依据，并出示此结果。",
)
_NOT_EXCLUDED = (
    "A photograph without findings does not exclude a disease: an examination sees more.",
    "照片未见异常不能排除眼病，医生检查能看到更多。",
)
_SOURCES = (
    "What is generally known comes from a library of {} checked entries; each names its source, "
    "which stands beneath the answer. What is said of a photograph comes from the classifier.",
    "一般知识来自含{}条经核对条目的资料库，每条都注明来源，列在回答下方；关于照片的结论来自分类器。",
)
_INABILITY = (
    "It makes no diagnosis, gives no doses and does not replace an examination; it knows of the "
    "eye what its library holds.",
    "它不能作出诊断，不提供剂量，不能代替医生检查；眼科知识以其资料库为限。",
)
_REST = (
    "Of what is not flagged the most probable are: {}.",
    "未提示的疾病中，概率最高的是：{}。",
)
_RESTS_ON = ("The last answer rests on: {}.", "上一个回答依据：{}。")
_PRIVACY = (
    "Photograph and conversation stay on this machine: all is computed here, nothing is sent "
    "anywhere, and nothing is kept unless you ask for it (/save, /report, --transcript, "
    "--history).",
    "照片和对话都留在本机：全部计算在本机完成，不会外传；除非您要求（/save、/report、--transcript、"
    "--history），否则不会保存。",
)
_OPEN = (
    "/image FILE opens a photograph, as does dragging it into the terminal; from the shell, "
    "`ophglm chat --image FILE`.",
    "用 /image 文件 打开照片，也可把文件拖入终端；在命令行用 `ophglm chat --image 文件`。",
)
_ANOTHER = (
    '"Another abnormality" means that the photograph looks abnormal and like none of the '
    "conditions that have a name here. It may be one of many: a blocked vessel, a detachment, a "
    "membrane or hole of the macula, an inflammation, a tumour, a scar. Which one the classifier "
    "cannot tell; an eye doctor examines the dilated eye, mostly with OCT.",
    "“其他异常”是指照片看起来不正常，但不像这里按病名识别的任何一种。可能是血管阻塞、视网膜脱离、"
    "黄斑前膜或裂孔、炎症、肿瘤、瘢痕等。分类器分不清是哪一种，须由眼科医生散瞳检查，多需加做OCT。",
)
_CHANGE = (
    "Whether something has changed one photograph cannot tell: it takes the earlier one, of the "
    "same eye and taken in the same way, beside it. A program's probabilities of two days are no "
    "measure of change; let the eye clinic compare the photographs, with OCT where there is one.",
    "单张照片看不出变化：需要同一只眼、同样方式拍摄的既往照片对照。程序两次给出的概率不能当作"
    "病情变化；请由眼科对比两次照片，有OCT的一并比较。",
)
_FIXED = {
    "another": _ANOTHER,
    "change": _CHANGE,
    "where": _WHERE,
    "reason": _REASON,
    "disagreement": _DISAGREES,
    "privacy": _PRIVACY,
    "open_photograph": _OPEN,
}
_MEASURED = (
    "On photographs of test patients its AUC for {} was {:.2f}; at the threshold it found {} of "
    "those who have it and cleared {} of the others.",
    "在测试患者的照片上，{}的AUC为{:.2f}；按阈值检出患者的{}，排除非患者的{}。",
)
_NOT_MEASURED = (
    "This model's card has no figures on that.",
    "该模型的说明卡没有这方面的数据。",
)
_CARD = ("model card", "模型说明卡")
_MOST_FIGURES = 3


def answer_about_reading(
    question: Question,
    findings: Sequence[Findings],
    labels: LabelSet,
    measured: Mapping[str, Mapping[str, float | None]],
    before: Sequence[Entry] = (),
) -> list[AnswerPart]:
    """Answer a question with `about_reading`; see Question, and compose for the rest."""
    asked, language = question.about_reading, question.language
    zh = language == "zh"
    if asked == "abilities":
        names = [labels[d].name_in(language) for d in labels.diseases]
        listed = "、".join(names) if zh else joined(names)
        return [AnswerPart("knowledge", _ABILITIES[zh].format(listed))]
    if asked == "accuracy":
        return _accuracy(question, findings, labels, measured)
    if asked == "inability":
        limits = knowledge.general("limits")
        return [
            AnswerPart("knowledge", _INABILITY[zh]),
            AnswerPart("knowledge", limits.text(language), limits.source),
        ]
    if asked == "sources":
        return [AnswerPart("knowledge", _sources(before, language))]
    if not findings and asked in (
        "urgency",
        "severity",
        "quality",
        "reason",
        "others",
        "change",
    ):
        return [AnswerPart("knowledge", NO_PHOTOGRAPH[zh])]
    if asked == "others":
        return [AnswerPart("finding", _others(f, labels, language)) for f in findings]
    if asked in _FIXED:
        return [AnswerPart("knowledge", _FIXED[asked][zh])]
    if asked == "quality":
        said = [f.message or (_GRADABLE[zh] if f.status == "ok" else "") for f in findings]
        if asks_which_eye(question.text):
            said += which_eyes(findings, language)
        return [AnswerPart("finding", sentence) for sentence in said if sentence]
    if asked == "urgency":
        if not any(finding.status == "ok" for finding in findings):
            return [AnswerPart("knowledge", NO_PHOTOGRAPH[zh])]
        fact = what_to_do(findings)
    elif asked == "severity":
        fact = knowledge.on(next(iter(found_in(findings)), NORMAL), "grades")
    else:
        fact = knowledge.general(str(asked))
    parts = [] if fact is None else [AnswerPart("knowledge", fact.text(language), fact.source)]
    if asked == "certainty" and not found_in(findings):
        parts.append(AnswerPart("knowledge", _NOT_EXCLUDED[zh]))
    return parts


def _others(finding: Findings, labels: LabelSet, language: str) -> str:
    """Say the probabilities of what was not found, the highest first."""
    zh = language == "zh"
    rest = [d for d in labels.diseases if d in finding.probabilities and d not in finding.diseases]
    rest.sort(key=lambda d: -finding.probabilities[d])
    if not rest:
        return _NOT_MEASURED[zh]
    said = [
        f"{labels[d].name_in(language)} {percent(finding.probabilities[d], language)}"
        for d in rest[:_MOST_FIGURES]
    ]
    return _REST[zh].format(("、" if zh else ", ").join(said))


def _sources(before: Sequence[Entry], language: str) -> str:
    """Name what the last answer rests on, or where answers come from."""
    zh = language == "zh"
    if not before:
        return _SOURCES[zh].format(len(entries()))
    named = dict.fromkeys(f"{e.source} ({e.url})" if e.url else e.source for e in before)
    return _RESTS_ON[zh].format(("；" if zh else "; ").join(named))


def _accuracy(
    question: Question,
    findings: Sequence[Findings],
    labels: LabelSet,
    measured: Mapping[str, Mapping[str, float | None]],
) -> list[AnswerPart]:
    """Say how good the classifier was on test patients, of what is asked about or was found."""
    zh = question.language == "zh"
    wanted = question.conditions or found_in(findings) or labels.diseases
    parts = []
    for label in wanted:
        values = [measured.get(label, {}).get(k) for k in ("auc", "sensitivity", "specificity")]
        auc, found, cleared = values
        if auc is None or found is None or cleared is None:
            continue
        name, shares = labels[label].name_in(question.language), (found, cleared)
        sentence = _MEASURED[zh].format(
            name, auc, *(percent(share, question.language) for share in shares)
        )
        parts.append(AnswerPart("knowledge", sentence, _CARD[zh]))
    return parts[:_MOST_FIGURES] or [AnswerPart("knowledge", _NOT_MEASURED[zh])]
