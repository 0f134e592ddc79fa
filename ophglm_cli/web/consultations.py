"""The conversations of the page: each tab has one of its own, and one is computed at a time."""

from __future__ import annotations

import io
import os
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

from ophglm_core.assistant import Assistant
from ophglm_core.chat.conversation import Chat
from ophglm_core.chat.parts import AnswerPart
from ophglm_core.chat.report import heading, photograph_values
from ophglm_core.conditions import LabelSet
from ophglm_core.errors import InputError, OphglmError, UsageError
from ophglm_core.findings import Findings, notice
from ophglm_core.heatmaps import heat_layer
from ophglm_core.images import crop_disc
from ophglm_core.wording import is_chinese

from .stopping import StoppableModel, Stopped

#: Of one photograph's file; an uncompressed DICOM of a wide-field camera stays below.
MOST_BYTES = 128 << 20
#: Tabs that are kept; the one that was used the longest ago makes room.
_MOST = 16
_SIZE = 640


@dataclass
class Consultation:
    """One tab's conversation.

    folder: where its photographs lie. keys: what each of them is called in addresses, in the order
    of the conversation's findings. running: stops the answer that is being given; None: none is.
    """

    chat: Chat
    folder: Path
    keys: list[str] = field(default_factory=list)
    running: Event | None = None
    used: float = field(default_factory=time.monotonic)

    def place(self, name: str) -> Path:
        """Return where a photograph of this name can be written, in a folder of its own."""
        last = name.replace("\\", "/").rpartition("/")[2]
        clean = "".join(c for c in last if c.isprintable()).strip(" .")
        stem, suffix = os.path.splitext(clean)
        folder = self.folder / secrets.token_hex(8)
        folder.mkdir(mode=0o700)
        return folder / f"{stem[:60] or 'photograph'}{suffix[:12]}"

    def stop(self) -> None:
        """Stop the answer that is being given; what was shown of it is kept."""
        if self.running is not None:
            self.running.set()

    def finding(self, key: str) -> Findings | None:
        """Return the findings of the photograph with this key; None where there is none."""
        return dict(zip(self.keys, self.chat.findings, strict=True)).get(key)

    def values(self, language: str) -> dict[str, Any]:
        """Return what the page shows, as JSON's values, worded in 'en' or 'zh'."""
        photographs = [
            photograph_values(self.chat, index, language)
            | {"key": key, "side": finding.laterality, "maps": finding.cams is not None}
            for index, (key, finding) in enumerate(zip(self.keys, self.chat.findings, strict=True))
        ]
        return {
            "notice": notice(language),
            "about": dict(self.chat.about),
            "photographs": photographs,
            "found": self.chat.found,
            "turns": [
                {
                    "question": e.text,
                    "parts": [part_values(part, e.question.language) for part in e.parts],
                    "complete": e.complete,
                }
                for e in self.chat.exchanges
            ],
        }


def part_values(part: AnswerPart, language: str) -> dict[str, Any]:
    """Return a part of an answer as JSON's values, with its heading in the answer's language."""
    return {
        "kind": part.kind,
        "heading": heading(part.kind, language),
        "text": part.text,
        "source": part.source,
    }


class ConsultingRoom:
    """All consultations, with the assistant that they share.

    folder: gets the photographs. What computes is to be called from one thread: `look`, `answer`,
    `load`.
    """

    def __init__(self, assistant: Assistant, folder: Path):
        self._assistant, self._folder = assistant, folder
        chat = assistant.chat()
        self._model = StoppableModel(chat.model)
        self._template = replace(chat, model=self._model)
        self._open: dict[str, Consultation] = {}
        self._last: Consultation | None = None

    def load(self) -> None:
        """Load what the first photograph and the first answer would have to wait for."""
        _ = self._assistant.classifier
        self._template.load()

    def open(self) -> str:
        """Open a consultation and return its key."""
        while len(self._open) >= _MOST:
            self.close(min(self._open, key=lambda key: self._open[key].used))
        key = secrets.token_urlsafe(16)
        folder = self._folder / secrets.token_hex(8)
        folder.mkdir(mode=0o700)
        self._open[key] = Consultation(replace(self._template, findings=[]), folder)
        return key

    def get(self, key: str) -> Consultation | None:
        """Return a consultation; None where there is none with this key."""
        found = self._open.get(key)
        if found is not None:
            found.used = time.monotonic()
        return found

    def close(self, key: str) -> None:
        """Forget a consultation and remove its photographs."""
        if (closed := self._open.pop(key, None)) is not None:
            closed.stop()
            shutil.rmtree(closed.folder, ignore_errors=True)

    def close_all(self) -> None:
        """Forget all consultations and remove their photographs."""
        for key in list(self._open):
            self.close(key)

    def look(self, consultation: Consultation, path: Path, beside: bool) -> None:
        """Talk about a photograph that was written to `place`.

        beside: whether it is added to one that is open. The conversation starts over, and what is
        no longer shown is removed. Raises InputError if the file cannot be read, UsageError if two
        are open; the conversation is then as it was.
        """
        chat = consultation.chat
        kept = list(chat.findings) if beside else []
        keys = list(consultation.keys) if beside else []
        try:
            if len(kept) > 1:
                raise UsageError("Two photographs are open already, one of each eye.")
            (finding,) = self._assistant.look(path)
        except OphglmError as error:
            shutil.rmtree(path.parent, ignore_errors=True)
            raise type(error)(str(error).replace(f"{path.parent}{os.sep}", "")) from None
        # Where it lies is of no use to anybody: it is shown, and reported, by its name.
        chat.look_at([*kept, replace(finding, image=path.name)])
        consultation.keys = [*keys, path.parent.name]
        for folder in consultation.folder.iterdir():
            if folder.name not in consultation.keys:
                shutil.rmtree(folder, ignore_errors=True)

    def answer(
        self,
        consultation: Consultation,
        question: str,
        stop: Event,
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        """Answer a question.

        stop: ends the answer. tell: gets, as JSON's values, each part as it is ready, what is being
        done meanwhile, and at the end whether the answer is complete or why there is none.
        """
        chat, language = consultation.chat, "zh" if is_chinese(question) else "en"
        if self._last is not consultation:
            self._model.truncate(0)  # which holds another conversation
            self._last = consultation
        self._model.stop = stop

        def step(name: str) -> None:
            if stop.is_set():
                raise Stopped
            tell({"step": name})

        chat.on_step = step
        had = len(chat.exchanges)
        try:
            with closing(chat.ask(question)) as parts:
                for part in parts:
                    tell({"part": part_values(part, language)})
                    if stop.is_set():
                        break
        except Stopped:
            pass
        except OphglmError as error:
            tell({"error": str(error)})
            return
        tell({"complete": len(chat.exchanges) > had and chat.exchanges[-1].complete})


def crop(finding: Findings) -> bytes:
    """Return the square around the retina's disc as a JPEG file.

    Raises InputError if the photograph can no longer be read.
    """
    source = Path(finding.image) if finding.picture is None else finding.picture
    buffer = io.BytesIO()
    crop_disc(source, _SIZE).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def heat(finding: Findings, labels: LabelSet, label: str) -> bytes:
    """Return a label's heat map as a PNG file to be laid over `crop`.

    labels: the model's. Raises InputError if there is none.
    """
    if label not in labels.keys or finding.cams is None:
        raise InputError("There is no such heat map.")
    buffer = io.BytesIO()
    heat_layer(finding, labels, label, _SIZE).save(buffer, "PNG")
    return buffer.getvalue()
