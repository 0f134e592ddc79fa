"""What the conversation's interface says, in English and Chinese."""

from __future__ import annotations

import os

LANGUAGES = ("auto", "en", "zh")

_PHRASES: dict[str, tuple[str, str]] = {
    "opening": (
        "Ask a question; /help shows the commands, Ctrl-D leaves.",
        "请提问；/help 显示命令，Ctrl-D 退出。",
    ),
    "leave": ("Ctrl-D leaves.", "按 Ctrl-D 退出。"),
    "stopped": ("(stopped)", "（已停止）"),
    "cleared": ("The conversation is forgotten.", "对话已清除。"),
    "over": ("The conversation starts over.", "对话重新开始。"),
    "undone": ("Forgotten: {}", "已撤销：{}"),
    "written": ("Written to {}.", "已写入 {}。"),
    "loaded": ("{} questions and answers are back.", "已恢复 {} 组问答。"),
    "copied": ("The last answer was sent to the clipboard.", "上一条回答已发送到剪贴板。"),
    "maps": (
        "What moved the classifier is not always a lesion.",
        "影响分类器的区域不一定是病灶。",
    ),
    "lang": ("Language of the interface: {}.", "界面语言：{}。"),
    "keys": (
        "Esc-Enter or a \\ at the end of a line starts a new line. Tab completes. Ctrl-C stops an "
        "answer and keeps it. The path of a photograph alone opens it.",
        "Esc-回车或行末的 \\ 换行；Tab 补全；Ctrl-C 停止并保留回答；单独输入照片路径即可打开。",
    ),
    "gradable": ("gradable", "可判读"),
    "grade": ("retinopathy grade (ICDR): ", "视网膜病变分级（ICDR）："),
    "referable": (", to be referred", "，需转诊"),
    "star": ("* flagged; its threshold is in brackets", "* 提示；阈值在括号内"),
    "bar": ("│ is the threshold, * flagged", "│ 为阈值，* 提示"),
    "no_photograph": (
        "There is no photograph; open one with /image FILE.",
        "没有照片；用 /image 打开。",
    ),
    "step_search": ("looking it up", "正在检索"),
    "step_look": ("looking at the photograph", "正在阅片"),
    "step_word": ("putting it in other words", "正在组织语言"),
    "step_think": ("thinking", "正在思考"),
    "model": ("model", "模型"),
    "encoder": ("image encoder", "图像编码器"),
    "language_model": ("language model", "语言模型"),
    "adapter": ("adapter", "适配器"),
    "reader": ("reads the photograph", "阅片模块"),
    "runtime": ("runtime", "运行环境"),
    "speed": ("{:.0f} tokens/s", "{:.0f} 词元/秒"),
    "context": ("context {:.0%}", "上下文 {:.0%}"),
}  # fmt: skip


def say(key: str, language: str, *values: object) -> str:
    """Return a phrase in 'en' or 'zh', its places filled."""
    return _PHRASES[key][language == "zh"].format(*values)


def locale_language() -> str:
    """Return 'zh' where the user's locale is Chinese, else 'en'."""
    named = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return "zh" if next(filter(None, named), "").lower().startswith("zh") else "en"
