"""What the page says, in English and Chinese."""

from __future__ import annotations

from ophglm_core.chat.tasks import LETTER_REQUEST
from ophglm_core.picture_files import EXTENSIONS

from ..phrases import say

_STEPS = ("search", "look", "word", "think")
_TEXTS: dict[str, tuple[str, str]] = {
    "title": ("ophglm · fundus photographs", "ophglm · 眼底照片"),
    "language": ("Language", "语言"),
    "photographs": ("Photographs", "照片"),
    "open": ("Open a photograph…", "打开照片…"),
    "beside": ("Add the other eye…", "添加另一只眼…"),
    "drop": (
        "Choose one photograph, or one of each eye, or drop them here.",
        "选择一张照片，或双眼各一张，也可拖到此处。",
    ),
    "opened": ("Reading the photograph…", "正在阅片…"),
    "eye": ("Eye", "眼别"),
    "left": ("left", "左眼"),
    "right": ("right", "右眼"),
    "unknown": ("not known", "未知"),
    "heat": ("Heat map", "热图"),
    "none": ("none", "无"),
    "opacity": ("Opacity", "不透明度"),
    "maps": (
        "What moved the classifier is not always a lesion.",
        "影响分类器的区域不一定是病灶。",
    ),
    "findings": ("Findings", "所见"),
    "condition": ("Condition", "疾病"),
    "probability": ("Probability", "概率"),
    "threshold": ("Threshold", "阈值"),
    "reached": ("* flagged; the line marks its threshold", "* 提示；竖线为阈值"),
    "grade": ("Suggested retinopathy grade (ICDR): ", "视网膜病变分级建议（ICDR）："),
    "referable": (", to be referred", "，需转诊"),
    "conversation": ("Conversation", "对话"),
    "question": ("Question", "问题"),
    "placeholder": (
        "Ask about the photograph or the eye; Shift-Enter starts a new line.",
        "请就照片或眼科问题提问；Shift-回车换行。",
    ),
    "ask": ("Ask", "提问"),
    "stop": ("Stop", "停止"),
    "stopped": ("(stopped)", "（已停止）"),
    "clear": ("Forget the conversation", "清除对话"),
    "over": ("New patient", "新患者"),
    "report": ("Report", "报告"),
    "print": ("Print", "打印"),
    "save": ("Download", "下载"),
    "close": ("Close", "关闭"),
    "step_wait": ("waiting for another conversation", "等待其他对话"),
    "lost": (
        "ophglm does not answer; is it still running?",
        "ophglm 没有响应；程序是否仍在运行？",
    ),
    "two": (
        "A conversation is about one photograph or two, one of each eye.",
        "一次对话只涉及一张照片，或双眼各一张。",
    ),
    "large": (
        "A photograph may have {} MB at most; export it smaller.",
        "照片最大 {} MB；请导出较小的文件。",
    ),
    "ask_seen": ("What do you see?", "这张照片看到了什么？"),
    "ask_urgent": ("How urgent is it?", "有多紧急？"),
}  # fmt: skip


def page_texts() -> dict[str, object]:
    """Return the page's texts by language, and the suffixes that photographs have."""
    texts = {
        language: {key: both[language == "zh"] for key, both in _TEXTS.items()}
        | {f"step_{step}": say(f"step_{step}", language) for step in _STEPS}
        | {"ask_letter": LETTER_REQUEST[language]}
        for language in ("en", "zh")
    }
    return {"texts": texts, "suffixes": sorted(EXTENSIONS)}
