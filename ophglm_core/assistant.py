"""A model folder as an assistant: it classifies photographs and talks about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from .chat.conversation import Chat
from .chat.saved import read_saved
from .classifier import Classifier
from .conditions import LabelSet
from .errors import InputError, UsageError
from .findings import Findings
from .images import Picture
from .inputs import collect, find_images
from .knowledge.retrieval import Library
from .llm_source import LlmSource, belongs, find_llm, trained_with
from .manifest import AdapterPart, FusionPart
from .model_folder import ModelFolder, open_model
from .runtime.profile import EMBEDDED
from .runtime.sentence import SentenceEncoder
from .runtime.session import CONTEXT, GREEDY, Decoding, LazySession, Session
from .runtime.vqa import VqaRuntime
from .runtimes import Runtime, open_runtime

#: What answers may rest on.
EVIDENCE = ("findings", "fusion", "both")


def load(
    model: str | Path | None = None,
    *,
    llm: str | Path | None = None,
    evidence: str = "both",
    remark: Callable[[str], None] = lambda sentence: None,
    runtime: str = "auto",
    four_bit: bool = False,
    gpu_layers: int | None = None,
    workers: int | None = None,
    temperature: float = 0.0,
    seed: int = 0,
) -> Assistant:
    """Open a model folder as an assistant.

    model: a folder, or the name of a bundled one; None is the default one. llm: another language
    model: a GGUF file, a folder in Hugging Face's form, or what `ophglm models pull` has fetched,
    by its name or hub id. evidence: what answers rest on: 'findings' (the classifier's), 'fusion'
    (what the language model sees itself), or 'both'. remark: is told in a sentence what cannot be
    had, such as a fusion module that belongs to another language model. runtime, four_bit,
    gpu_layers: what runs the language model, see `runtimes.open_runtime` and
    `runtime.llama.LlamaSession`. workers: threads that classify; None takes all processors.
    temperature, seed: how the language model's words are chosen in a conversation, see
    `runtime.session.Decoding`. Raises UsageError.

    Example:
        assistant = load()
        print(next(assistant.classify("fundus.jpg")).positive)
    """
    if evidence not in EVIDENCE:
        raise UsageError(f"'{evidence}' is no evidence; use {', '.join(EVIDENCE)}.")
    return Assistant(
        open_model(model),
        str(llm) if llm is not None else None,
        evidence,
        remark,
        lambda source: open_runtime(source, runtime, four_bit, gpu_layers),
        workers,
        Decoding(temperature, seed),
    )


class Assistant:
    """A model folder with a language model; see `load`.

    Networks are loaded when they are first needed, and kept. runtime: gives what runs a language
    model.
    """

    def __init__(
        self,
        model: ModelFolder,
        llm: str | None = None,
        evidence: str = "both",
        remark: Callable[[str], None] = lambda sentence: None,
        runtime: Callable[[LlmSource], Runtime] = open_runtime,
        workers: int | None = None,
        decoding: Decoding = GREEDY,
    ):
        self.model, self.evidence, self._workers = model, evidence, workers
        self._decoding = decoding
        self._llm, self._remark = llm, remark
        self._open_runtime = runtime

    @property
    def labels(self) -> LabelSet:
        """The labels that it gives."""
        return self.model.labels

    @cached_property
    def classifier(self) -> Classifier:
        """The image encoder with its calibration and thresholds."""
        return Classifier(self.model, self._workers)

    @cached_property
    def _library(self) -> Library:
        return Library(SentenceEncoder().embed)

    def classify(
        self, images: Picture | str | Iterable[Picture | str], keep_outputs: bool = False
    ) -> Iterator[Findings]:
        """Yield the findings of photographs, in their order.

        images: one or several: paths, folders (searched recursively), PIL images, or arrays, uint8
        [H, W, 3]. What cannot be read yields findings with status 'error'. keep_outputs: whether
        the findings hold their class activation maps and features.

        Example: `for finding in assistant.classify(["a.jpg", "photographs/"]): ...`
        """
        yield from self._classified(_several(images), keep_outputs)

    def _classified(
        self, images: Sequence[Picture | str], keep_outputs: bool, later: bool = False
    ) -> Iterator[Findings]:
        """See classify; later: whether fine maps wait until one is looked at."""
        inputs = collect(images)
        yield from inputs.unusable
        found = self.classifier.classify(
            inputs.pictures, keep_outputs, fine=keep_outputs, later=later
        )
        yield from map(inputs.completed, found)

    def chat(self, *images: Picture | str) -> Chat:
        """Return a conversation about one photograph, or two: one of each eye.

        images: also a folder that holds one or both. Without a photograph, questions are answered
        in general. Raises InputError if one cannot be read, UsageError if there are more than two
        or the language model cannot be loaded.
        """
        runtime, reader, adapter = self._language_model()
        findings = self.look(*images) if images else []
        profile = EMBEDDED
        session: Session | LazySession = LazySession(lambda: runtime.session(CONTEXT, adapter))
        if runtime.source.name is not None:
            # One that a user names is loaded at once: an error is not met in mid-conversation, and
            # what it can do is known.
            session = runtime.session(CONTEXT, adapter)
            profile = session.profile
        trained = self.model.manifest.adapter
        calibrations = self.model.manifest.calibrations()
        return Chat(
            findings,
            self.labels,
            session,
            library=self._library,
            profile=profile,
            reader=reader,
            use_findings=self.evidence != "fusion",
            use_soft_tokens=adapter is not None and trained is not None and trained.soft_tokens,
            thresholds={label: calibrations[label].threshold for label in self.labels},
            measured=self.model.manifest.metrics.get("labels", {}),
            decoding=self._decoding,
            about={
                "model": self.model.identity,
                "encoder": f"{self.model.manifest.encoder.architecture} (onnxruntime)",
                "language_model": runtime.source.short,
                "adapter": adapter.name if adapter is not None else "",
                "reader": "fusion" if reader is not None else "",
                "runtime": runtime.description,
            },
        )

    def resume(self, conversation: Chat, path: Path) -> None:
        """Go on with what `chat.saved.save` wrote, its photographs being read again.

        Raises as `look` does, and InputError if the file cannot be used; the conversation is then
        as it was.
        """
        saved = read_saved(path, self.labels)
        findings = self.look(*saved.images) if saved.images else []
        conversation.look_at(saved.with_eyes(findings))
        conversation.resume(saved.exchanges)
        if saved.model != self.model.identity:
            self._remark(
                f"The conversation was had with {saved.model}; its photographs have now been read "
                f"by {self.model.identity}."
            )

    def look(self, *images: Picture | str) -> list[Findings]:
        """Return the findings of the photographs of one conversation, with all outputs.

        Raises as `chat` does.
        """
        if not images:
            raise UsageError("A conversation is about one photograph or two, one of each eye.")
        folders = [i for i in images if isinstance(i, str | Path) and Path(i).is_dir()]
        inside = {str(folder): len(list(find_images(Path(folder)))) for folder in folders}
        for folder, count in inside.items():
            if count > 2:
                raise UsageError(
                    f"{folder} holds {count} photographs, and a conversation is about two at most, "
                    "of one patient; name them, or use ophglm classify."
                )
        if len(images) - len(folders) + sum(inside.values()) > 2:
            raise UsageError("A conversation is about one photograph or two, one of each eye.")
        # Two thirds of the passes are for the heat maps, which nobody has asked for yet.
        findings = list(self._classified(images, keep_outputs=True, later=True))
        for finding in findings:
            if finding.status == "error":
                raise InputError(finding.message or f"{finding.image} cannot be read.")
        return findings

    @cached_property
    def _source(self) -> LlmSource:
        """The language model: the one that is named, or that of the folder's parts."""
        if self._llm is not None:
            return find_llm(self._llm)
        name = trained_with(self.model)
        try:
            return find_llm(name)
        except UsageError as error:
            if name is None or self.evidence == "fusion":
                raise
            self._remark(f"The language model of {self.model.path} is not used: {error}")
            return find_llm(None)

    @cached_property
    def _runtime(self) -> Runtime:
        return self._open_runtime(self._source)

    def _language_model(self) -> tuple[Runtime, VqaRuntime | None, Path | None]:
        """Return what runs the language model, what reads photographs with it, and the adapter that
        belongs to it."""
        manifest, source, runtime = self.model.manifest, self._source, self._runtime
        if manifest.fusion is None and self.evidence == "fusion":
            raise UsageError(f"{self.model.path} has no fusion module; run ophglm train-fusion.")
        if manifest.fusion is None and manifest.adapter is None:
            return runtime, None, None
        foreign = [
            part
            for part in (manifest.fusion, manifest.adapter)
            if part is not None and not belongs(self.model, source, part)
        ]
        if manifest.fusion in foreign and self.evidence == "fusion":
            raise UsageError(
                f"The fusion module was trained with {self._trained_with(manifest.fusion)} and not "
                f"with {source.short}."
            )
        if manifest.fusion is not None and manifest.fusion in foreign and self.evidence == "both":
            self._remark(
                f"The fusion module belongs to {self._trained_with(manifest.fusion)}: "
                f"{source.short} gets the findings as text only."
            )
        elif manifest.adapter is not None and manifest.adapter in foreign:
            self._remark(
                f"The adapter belongs to {self._trained_with(manifest.adapter)}: {source.short} "
                "answers without it."
            )
        adapted = manifest.adapter is not None and manifest.adapter not in foreign
        adapter = runtime.adapter_in(self.model.path) if adapted else None
        reads = manifest.fusion is not None and manifest.fusion not in foreign
        reads = reads and self.evidence != "findings"
        return runtime, VqaRuntime(self.model, runtime.session) if reads else None, adapter

    def _trained_with(self, part: FusionPart | AdapterPart | None) -> str:
        llm = None if part is None else self.model.manifest.llm_of(part)
        return llm.name if llm is not None else "another language model"


def _several(images: Picture | str | Iterable[Picture | str]) -> Sequence[Picture | str]:
    """Return one picture or several as several; an array is one."""
    if isinstance(images, str | Path) or hasattr(images, "shape") or hasattr(images, "getbands"):
        return [images]  # type: ignore[list-item]
    return list(images)
