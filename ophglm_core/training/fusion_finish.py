"""What follows the training of a fusion module: export, parity, manifest, model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..data.vqa import example_prompts
from ..errors import UsageError
from ..fusion.export import write_fusion
from ..fusion.network import Fusion
from ..modelcard import write_manifest
from ..modelfolder import MANIFEST, ModelFolder, copy_model, open_model, written_folder
from ..parity import measure_parity
from ..text_encoder.bert import TextEncoder
from ..text_encoder.export import write_text_encoder

#: Enough to see a fault; `ophglm export` asks a hundred.
_PROMPTS = 20


def finish(
    fusion: Fusion,
    text_encoder: TextEncoder,
    model: ModelFolder,
    out: Path,
    llm: dict[str, str],
    training: dict[str, Any],
) -> None:
    """Write the fusion module into the folder `out`, which starts as a copy of `model`.

    The parity of the two runtimes is measured where llama.cpp can run the language model, and kept
    in the manifest; what it misses is left for `ophglm export` to refuse, so that no training is
    lost.
    """
    with written_folder(out) as folder:
        if out != model.path.resolve():
            copy_model(model, folder)
        write_fusion(fusion, folder)
        write_text_encoder(text_encoder, folder)
        manifest = open_model(folder).manifest
        manifest.name = out.name
        manifest.llm = llm
        manifest.fusion = {
            "network": fusion.info.to_json(),
            "text_encoder": text_encoder.name,
            "training": training,
        }
        (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        if "file" in llm:
            gguf = None if "package" in llm else training["llm"]
            try:
                parity = measure_parity(open_model(folder), example_prompts(_PROMPTS), gguf)
                manifest.fusion["parity"] = parity.to_json()
            except UsageError as error:
                manifest.fusion["parity"] = {"error": str(error)}
        write_manifest(folder, manifest)
