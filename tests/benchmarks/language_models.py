"""Which families of language models pass which stage: writes docs/models.md.

    python -m tests.benchmarks.language_models docs/models.md [FAMILY ...]

Each family's tiny random model (tests/families.py) goes through every stage as a user's would: as a
GGUF where transformers reads the family's, else as a folder. What comes out makes no sense; that it
comes out is what is tried. A minute or two a family on two idle cores.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ophglm_core as ophglm
from ophglm_core.assets import sample_path
from ophglm_core.data.build_instructions import build_instructions
from ophglm_core.data.build_vqa import build_vqa
from ophglm_core.data.records import choose_labels, read_records
from ophglm_core.data.splits import split_texts
from ophglm_core.export.gguf import merge_adapter
from ophglm_core.model_folder import open_model, save_manifest, write_model_folder
from ophglm_core.networks.language_model import TorchLanguageModel
from ophglm_core.networks.lora import load_adapter
from ophglm_core.runtime.llama import LlamaSession

from ..conftest import draw_labelled
from ..families import FAMILIES, write_trained_family
from ..families_gguf import write_family_gguf

STAGES = ("train-fusion", "sft", "LoRA GGUF", "merge", "chat local", "chat torch", "4-bit")
_COLUMNS = ("base", *STAGES)
#: A training of a few steps.
_TINY: dict[str, Any] = {"epochs": 1, "samples": 4, "batch_size": 4, "precision": "no"}
_HEAD = """\
# Language models

Which families of decoders pass which stage, with tiny random models of each (2 layers, 64 wide) and
templates that do what the family's own does. Made by
`python -m tests.benchmarks.language_models docs/models.md`;
`tests/core/export` and `tests/core/training/test_turns.py` hold the parts of it.

"""
_TAIL = """
`train-fusion`, `sft`: from a GGUF where transformers reads the family's (base: GGUF), else from a
folder in Hugging Face's form. `LoRA GGUF`: `adapter.gguf` in llama.cpp beside the adapter in torch,
by the correlation of the next token's logits. `merge`: the file with the adapter in it beside both
apart. `chat local`: a conversation about a photograph in llama.cpp, with fusion module and adapter;
what was trained from a folder is known there by the normalisations of the GGUF. `chat torch`: the
same with `--runtime torch`. `4-bit`: `train-fusion`, `sft` and the conversation in torch, from a
folder with `--4bit`, on the processor.

Any other family trains from a folder; its adapter is then for the torch runtime alone, which is
said before the training. A GGUF of another architecture is refused before the training. A template
that cannot be trained with is refused, too: no mark that ends a turn (a base model), no opening of
the answer, or a beginning that changes as the conversation grows. Thinking is switched off by the
template. A folder becomes a GGUF by llama.cpp's `python convert_hf_to_gguf.py FOLDER`.
"""


class Inputs:
    """A model folder without a fusion module or adapter, questions and texts, all small."""

    def __init__(self, work: Path) -> None:
        bundled = open_model()
        self.model = work / "model"
        with write_model_folder(self.model, bundled) as folder:
            shutil.rmtree(folder / "adapter")
            (folder / "adapter.gguf").unlink()
            manifest = open_model(folder).manifest
            manifest.fusion = manifest.adapter = manifest.llm = None
            save_manifest(folder, manifest)
        records = list(read_records(draw_labelled(work / "photographs", patients=40)))
        pairs = [p for p in build_vqa(records, choose_labels(records, ())) if p.language == "en"]
        self.vqa = work / "vqa.jsonl"
        self.vqa.write_text("\n".join(json.dumps(pair.to_json()) for pair in pairs[::10]))
        texts = [t for t in build_instructions() if t.language == "en"]
        train, held_out = split_texts(texts)
        self.texts = work / "texts.jsonl"
        chosen = [*train[::200], *held_out[::200]]
        self.texts.write_text("\n".join(json.dumps(text.to_json()) for text in chosen))


def stages(name: str, inputs: Inputs, work: Path) -> dict[str, str]:
    """Return what became of each stage of a family: 'ok' with a figure, or why not."""
    folder = write_trained_family(name, work / "hf")
    plain = TorchLanguageModel(str(folder), torch.device("cpu"))
    base = write_family_gguf(name, plain, work / "base.gguf")
    cells = {}
    try:
        TorchLanguageModel(str(base), torch.device("cpu"))
        cells["base"], llm = "GGUF", str(base)
    except ophglm.OphglmError:
        cells["base"], llm = "folder", str(folder)
    fused, tuned = work / "fused", work / "tuned"
    config: dict[str, Any] = {**_TINY, "llm": llm}
    small: dict[str, Any] = {**_TINY, "llm": str(folder), "four_bit": True}

    def adapter() -> str:
        adapted = TorchLanguageModel(str(folder), torch.device("cpu"))
        adapted.model = load_adapter(adapted.model, tuned / "adapter")
        return alike(torch_logits(adapted), llama_logits(base, tuned / "adapter.gguf"))

    def merge() -> str:
        merge_adapter(base, tuned / "adapter.gguf", work / "merged.gguf", "F16")
        together = llama_logits(work / "merged.gguf", None)
        return alike(together, llama_logits(base, tuned / "adapter.gguf"))

    def chat(model: Path, **options: Any) -> str:
        remarks: list[str] = []
        talk = ophglm.load(model, remark=remarks.append, **options).chat(str(sample_path()))
        assert not remarks, remarks
        assert talk.about["adapter"], talk.about
        assert any(part.text for part in talk.ask("What is glaucoma?"))
        return "ok"

    def four_bit() -> str:
        ophglm.train_fusion(inputs.model, inputs.vqa, out=work / "fused4", head_epochs=1, **small)
        ophglm.sft(work / "fused4", inputs.texts, out=work / "tuned4", rank=4, alpha=8, **small)
        return chat(work / "tuned4", llm=folder, runtime="torch", four_bit=True)

    steps: dict[str, Callable[[], str]] = {
        "train-fusion": lambda: done(
            ophglm.train_fusion(inputs.model, inputs.vqa, out=fused, head_epochs=1, **config)
        ),
        "sft": lambda: done(ophglm.sft(fused, inputs.texts, out=tuned, rank=4, alpha=8, **config)),
        "LoRA GGUF": adapter,
        "merge": merge,
        "chat local": lambda: chat(tuned, llm=base),
        "chat torch": lambda: chat(tuned, llm=llm, runtime="torch"),
        "4-bit": four_bit,
    }
    for stage, step in steps.items():
        try:
            cells[stage] = step()
        except ophglm.OphglmError as error:
            cells[stage] = "refused: " + re.sub(r"\S*/", "", str(error)).replace("|", "/")
        print(name, stage, cells[stage], flush=True)
    return cells


def done(written: Path | None) -> str:
    """'ok' where a training has written a model folder."""
    assert written is not None
    return "ok"


def alike(ours: np.ndarray, theirs: np.ndarray) -> str:
    """'ok' and the correlation of two runtimes' logits; or that they differ."""
    correlation = float(np.corrcoef(ours, theirs)[0, 1])
    return f"{'ok' if correlation > 0.999 else 'DIFFERS'} ({correlation:.5f})"


_QUESTION = "What is glaucoma? It is a disease of the optic nerve."


def torch_logits(llm: TorchLanguageModel) -> np.ndarray:
    """The next token's logits [V] after a text, in torch."""
    return llm.next_logits(llm.embed(torch.tensor(llm.tokenize(_QUESTION))))


def llama_logits(path: Path, adapter: Path | None) -> np.ndarray:
    """The same in llama.cpp."""
    with closing(LlamaSession(path, 256, adapter)) as session:
        session.append_text(_QUESTION)
        return session.next_logits()


def main(out: Path, families: list[str]) -> None:
    """Run some families and put their rows into the table; those of others stay as they are."""
    rows = read_rows(out)
    with tempfile.TemporaryDirectory(prefix="ophglm-families-") as scratch:
        inputs = Inputs(Path(scratch))
        for number, name in enumerate(families):
            work = Path(scratch) / str(number)
            work.mkdir()
            rows[name] = stages(name, inputs, work)
            shutil.rmtree(work)
            write_rows(out, rows)


def read_rows(out: Path) -> dict[str, dict[str, str]]:
    """Return what an earlier run found."""
    lines = out.read_text(encoding="utf-8").splitlines() if out.is_file() else []
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    return {row[0]: dict(zip(_COLUMNS, row[1:], strict=True)) for row in cells[2:]}


def write_rows(out: Path, rows: dict[str, dict[str, str]]) -> None:
    """Write the page; a family that was not run says so."""
    lines = ["| family | " + " | ".join(_COLUMNS) + " |", "| --- |" + " --- |" * len(_COLUMNS)]
    for name in FAMILIES:
        row = rows.get(name, {})
        lines.append(f"| {name} | " + " | ".join(row.get(c, "not run") for c in _COLUMNS) + " |")
    out.write_text(_HEAD + "\n".join(lines) + "\n" + _TAIL, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or list(FAMILIES))
