"""The commands of the conversation: one table, from which help and completion are made."""

from __future__ import annotations

import base64
import io
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rich.cells import set_cell_size
from rich.text import Text

from ophglm_core.chat.exchange import Exchange
from ophglm_core.chat.report import report_format, write_report
from ophglm_core.chat.saved import save
from ophglm_core.chat.tasks import LETTER_REQUEST
from ophglm_core.errors import UsageError
from ophglm_core.files import write_bytes
from ophglm_core.findings import Findings, notice
from ophglm_core.heatmaps import overlay
from ophglm_core.picture_files import EXTENSIONS

from .chat_output import show_answer, show_comparison, show_dim, show_findings
from .heatmap_output import show_photographs, show_picture
from .new_files import dated, new_file
from .phrases import LANGUAGES, say
from .sitting import Sitting
from .terminal import draws, stdout

_PICTURE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


class Leave(Exception):  # noqa: N818 - not an error
    """The user wants to leave."""


@dataclass(frozen=True)
class Command:
    """A command of the conversation.

    name: without the slash. arguments: as help shows them. help: in English and in Chinese. run: is
    given what stands behind the name. completes: what its words are, in their order: 'path',
    'condition', 'language', 'setting', 'value' (of the setting before it) or 'command'.
    bare: whether it is understood without the slash.
    """

    name: str
    arguments: str
    help: tuple[str, str]
    run: Callable[[Sitting, str], None]
    completes: tuple[str, ...] = ()
    bare: bool = False

    @property
    def usage(self) -> str:
        """Name and arguments, as in '/image FILE [FILE]'."""
        return f"/{self.name} {self.arguments}".rstrip()


def understand(line: str) -> tuple[Command | None, str]:
    """Return the command that a line is, with its argument; None with a question.

    A path alone, as it is dragged into a terminal, opens the photograph. Raises UsageError for a
    command that is not there, naming the nearest.
    """
    name, _, rest = line.partition(" ")
    bare = COMMANDS.get(line.lower()) or _ALIASES.get(line.lower())
    if bare is not None and bare.bare:
        return bare, ""
    if line.startswith("/"):
        command = COMMANDS.get(name[1:].lower()) or _ALIASES.get(name[1:].lower())
        if command is not None:
            return command, rest.strip()
    if _is_path(line):
        return COMMANDS["image"], line
    if not line.startswith("/"):
        return None, line
    near = get_close_matches(name[1:].lower(), COMMANDS, n=1)
    hint = f"did you mean /{near[0]}?" if near else "/help shows them."
    raise UsageError(f"There is no command {name}; {hint}")


def _is_path(line: str) -> bool:
    """Whether a line is nothing but paths: of pictures, or of a folder that is there."""
    found = paths(line)
    return 1 <= len(found) <= 2 and all(
        ((path.is_dir() or path.is_file()) and path.is_absolute())
        or (path.suffix.lower() in EXTENSIONS and ("/" in line or path.is_file()))
        for path in found
    )


def paths(text: str) -> list[Path]:
    """Return the paths that a text names, with quotes, backslashes, or as a file: address.

    One with a blank in it can stand bare, as some terminals drag it in.
    """
    bare = Path(text.strip()).expanduser()
    try:
        if bare.exists():
            return [bare]
    except OSError:  # a text that is too long to be a name
        return []
    try:
        words = shlex.split(text)
    except ValueError:
        words = [text.strip()]
    local = (unquote(urlsplit(w).path) if w.startswith("file://") else w for w in words)
    return [Path(word).expanduser() for word in local]


def _one_path(text: str, default: Path | None = None) -> Path:
    found = paths(text) if text else [default] if default else []
    if len(found) != 1 or found[0] is None:
        raise UsageError("Name one file; put a name with blanks in quotes.")
    return found[0]


def _image(sitting: Sitting, argument: str) -> None:
    if not argument:
        raise UsageError("Name a photograph: /image FILE, or two for both eyes.")
    _look_at(sitting, sitting.assistant.look(*paths(argument)))


def _look_at(sitting: Sitting, findings: Sequence[Findings]) -> None:
    had = bool(sitting.chat.exchanges)
    sitting.start_over()
    sitting.chat.look_at(findings)
    show_photographs(sitting)
    show_findings(sitting)
    if had:
        show_dim(say("over", sitting.language))


def _eye(sitting: Sitting, argument: str, eye: str) -> None:
    """Take a photograph for that of an eye: one that is open, or another one."""
    chat, path = sitting.chat, _one_path(argument) if argument else None
    held = [i for i, f in enumerate(chat.findings) if f.laterality == eye]
    if path is not None:
        held = [i for i, f in enumerate(chat.findings) if _same(Path(f.image), path)]
    elif len(chat.findings) == 1:
        held = [0]
    if held:
        if path is not None or len(chat.findings) == 1:
            chat.name_eye(held[0], eye)
        show_findings(sitting, eye)
        return
    if path is None:
        raise UsageError(f"Which photograph is it? Name its file: /{eye} FILE.")
    others = [f for f in chat.findings if f.laterality != eye]
    if len(others) > 1:
        raise UsageError("Two photographs are open already; name both with /image FILE FILE.")
    new = sitting.assistant.look(path)
    if len(new) > 1:
        raise UsageError(f"{path} holds two photographs; name one.")
    _look_at(sitting, [*others, *new])
    chat.name_eye(len(others), eye)


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _findings(sitting: Sitting, argument: str) -> None:
    _need_photographs(sitting)
    show_findings(sitting)


def _need_photographs(sitting: Sitting) -> None:
    if not sitting.chat.findings:
        raise UsageError(say("no_photograph", sitting.language))


def _heatmap(sitting: Sitting, argument: str) -> None:
    """Show a condition's map, or the most probable finding's, for each photograph; or write it."""
    _need_photographs(sitting)
    chat, labels, language = sitting.chat, sitting.chat.labels, sitting.language
    words, file = argument.split(), None
    if match := re.search(r"(?:^|\s)(\S+|'[^']+'|\"[^\"]+\")$", argument):
        last = _one_path(match[1])
        if last.suffix:
            words, file = argument[: match.start()].split(), last
    label = labels.meant_by(" ".join(words)) if words else next(iter(chat.found), labels.keys[0])
    maps = [f for f in chat.findings if f.cams is not None]
    if file is not None:
        for number, finding in enumerate(maps, 1):
            numbered = file if len(maps) == 1 else file.with_stem(f"{file.stem}-{number}")
            _write_map(finding, sitting, label, new_file(numbered))
            show_dim(say("written", language, numbered))
    else:
        for finding in chat.findings:
            name = labels[label].name_in(language)
            stdout.print(Text(f"{Path(finding.image).name}: {name}", style="bold"))
            if finding.cams is None:
                stdout.print(finding.message or "", markup=False)
            else:
                show_picture(overlay(finding, labels, label))
    show_dim(say("maps", language))


def _write_map(finding: Findings, sitting: Sitting, label: str, path: Path) -> None:
    format = _PICTURE_FORMATS.get(path.suffix.lower())
    if format is None:
        raise UsageError(f"A heat map is written as .png or .jpg, not as '{path.suffix}'.")
    encoded = io.BytesIO()
    overlay(finding, sitting.chat.labels, label).save(encoded, format)
    write_bytes(path, encoded.getvalue())


def _compare(sitting: Sitting, argument: str) -> None:
    if len(sitting.chat.findings) != 2:
        raise UsageError("Two photographs are compared; add one with /left FILE or /right FILE.")
    show_comparison(sitting)


def _report(sitting: Sitting, argument: str) -> None:
    path = new_file(_one_path(argument, dated("report", ".html")))
    report_format(path)
    write_report(sitting.chat, path, sitting.language, datetime.now())
    show_dim(say("written", sitting.language, path))


def _letter(sitting: Sitting, argument: str) -> None:
    show_answer(sitting, LETTER_REQUEST[sitting.language])


def _set_lang(sitting: Sitting, value: str) -> None:
    if value not in LANGUAGES:
        raise UsageError(f"'{value}' is no language here; use {', '.join(LANGUAGES)}.")
    sitting.lang = value


def _lang(sitting: Sitting, argument: str) -> None:
    if argument:
        _set_lang(sitting, argument)
    show_dim(say("lang", sitting.language, sitting.lang))


def _set_preview(sitting: Sitting, value: str) -> None:
    if value not in SWITCH:
        raise UsageError(f"'{value}' is neither {' nor '.join(SWITCH)}.")
    sitting.preview = value == "on"


def _set_temperature(sitting: Sitting, value: str) -> None:
    try:
        temperature = float(value)
    except ValueError:
        raise UsageError(f"'{value}' is no number; a temperature is one from 0 to 2.") from None
    chat = sitting.chat
    chat.decoding = replace(chat.decoding, temperature=temperature)


def _set_seed(sitting: Sitting, value: str) -> None:
    try:
        seed = int(value)
    except ValueError:
        raise UsageError(f"'{value}' is no whole number; a seed is one.") from None
    sitting.chat.decoding = replace(sitting.chat.decoding, seed=seed)


def _set(sitting: Sitting, argument: str) -> None:
    """Show the settings of this conversation, or change one."""
    name, _, value = argument.lower().partition(" ")
    if name and name not in SETTINGS:
        raise UsageError(f"There is no setting '{name}'; use {', '.join(SETTINGS)}.")
    if value:
        SETTINGS[name](sitting, value.strip())
    decoding = sitting.chat.decoding
    shown = {
        "lang": sitting.lang,
        "preview": SWITCH[0] if sitting.preview else SWITCH[1],
        "temperature": f"{decoding.temperature:g}",
        "seed": str(decoding.seed),
    }
    for key, now in shown.items():
        if name in ("", key):
            stdout.print(Text(f"{key:<14}{now}"))


def _model(sitting: Sitting, argument: str) -> None:
    language = sitting.language
    for key, value in sitting.chat.about.items():
        if value:
            stdout.print(Text(f"{set_cell_size(say(key, language), 22)}{value}"))


def _forgotten(sitting: Sitting) -> Exchange:
    """Forget the last turn and return it."""
    last = sitting.chat.undo()
    if last is None:
        raise UsageError("Nothing has been asked yet.")
    return last


def _retry(sitting: Sitting, argument: str) -> None:
    show_answer(sitting, _forgotten(sitting).whole_text)


def _undo(sitting: Sitting, argument: str) -> None:
    last = _forgotten(sitting)
    sitting.keep()
    show_dim(say("undone", sitting.language, last.text))


def _save(sitting: Sitting, argument: str) -> None:
    path = new_file(_one_path(argument, dated("conversation", ".json")))
    save(sitting.chat, path)
    show_dim(say("written", sitting.language, path))


def _load(sitting: Sitting, argument: str) -> None:
    path = _one_path(argument)
    sitting.start_over()
    sitting.assistant.resume(sitting.chat, path)
    sitting.keep()
    if sitting.chat.findings:
        show_photographs(sitting)
        show_findings(sitting)
    show_dim(say("loaded", sitting.language, len(sitting.chat.exchanges)))


def _copy(sitting: Sitting, argument: str) -> None:
    """Send the last answer to the clipboard of the terminal's own machine (OSC 52)."""
    if not sitting.chat.exchanges:
        raise UsageError("Nothing has been answered yet.")
    if not draws(stdout):
        raise UsageError("This terminal has no clipboard that can be written to.")
    lines = [
        part.text + (f" [{part.source}]" if part.source else "")
        for part in sitting.chat.exchanges[-1].parts
    ]
    text = "\n".join([*lines, notice(sitting.language)])
    stdout.file.write(f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07")
    stdout.file.flush()
    show_dim(say("copied", sitting.language))


def _clear(sitting: Sitting, argument: str) -> None:
    sitting.start_over()
    sitting.chat.clear()
    show_dim(say("cleared", sitting.language))


def _help(sitting: Sitting, argument: str) -> None:
    chinese = sitting.language == "zh"
    wanted = argument.removeprefix("/").lower()
    if wanted:
        command = COMMANDS.get(wanted) or understand(f"/{wanted}")[0]
        shown = [command] if command is not None else []
    else:
        shown = list(COMMANDS.values())
    width = max(len(command.usage) for command in shown) + 2
    for command in shown:
        about = command.help[chinese]
        if stdout.width < 72 or wanted:  # beneath, where there is no room beside it
            stdout.print(Text(command.usage, style="bold"))
            stdout.print(Text(f"  {about}"))
        else:
            stdout.print(Text(f"{command.usage:<{width}}", style="bold").append(about, "not bold"))
    if not wanted:
        show_dim(say("keys", sitting.language))


def _quit(sitting: Sitting, argument: str) -> None:
    raise Leave


_TABLE = (
    Command("image", "FILE [FILE]", ("talk about another photograph, or two", "换一张或两张照片"),
            _image, ("path", "path")),
    Command("left", "[FILE]", ("this is the left eye; with FILE, its photograph", "指定左眼照片"),
            lambda s, a: _eye(s, a, "left"), ("path",)),
    Command("right", "[FILE]", ("this is the right eye; with FILE, its photograph", "指定右眼照片"),
            lambda s, a: _eye(s, a, "right"), ("path",)),
    Command("findings", "", ("show the findings again", "再次显示所见"), _findings),
    Command("heatmap", "[CONDITION] [FILE]", ("show where the classifier looked, or write it",
            "显示或写出热图"), _heatmap, ("condition", "path")),
    Command("compare", "", ("compare the two eyes", "比较双眼"), _compare),
    Command("report", "[FILE]", ("write all to a file: .html, .pdf, .md or .json", "写报告"),
            _report, ("path",)),
    Command("letter", "", ("a letter to a colleague about the findings", "写给同道的信"), _letter),
    Command("lang", "en|zh|auto", ("the language of findings, notices and files", "界面语言"),
            _lang, ("language",)),
    Command("set", "[NAME [VALUE]]", ("show the settings, or change one: lang, preview, "
            "temperature, seed", "显示或修改设置"), _set, ("setting", "value")),
    Command("model", "", ("what answers come from", "显示模型"), _model),
    Command("retry", "", ("ask the last question again", "重新回答上一个问题"), _retry),
    Command("undo", "", ("forget the last question and its answer", "撤销上一个问题"), _undo),
    Command("save", "[FILE]", ("write the conversation, to go on with later", "保存对话"),
            _save, ("path",)),
    Command("load", "FILE", ("go on with a conversation that was saved", "恢复已保存的对话"),
            _load, ("path",)),
    Command("copy", "", ("send the last answer to the clipboard", "复制上一条回答"), _copy),
    Command("clear", "", ("forget the conversation, keep the photograph", "清除对话，保留照片"),
            _clear, bare=True),
    Command("help", "[COMMAND]", ("show the commands, or one", "显示命令"), _help, ("command",),
            bare=True),
    Command("quit", "", ("leave (Ctrl-D too)", "退出"), _quit, bare=True),
)  # fmt: skip

SWITCH = ("on", "off")
#: What /set changes, and how.
SETTINGS: dict[str, Callable[[Sitting, str], None]] = {
    "lang": _set_lang,
    "preview": _set_preview,
    "temperature": _set_temperature,
    "seed": _set_seed,
}
#: Every command by its name.
COMMANDS = {command.name: command for command in _TABLE}
_ALIASES = {"exit": COMMANDS["quit"], "?": COMMANDS["help"]}
