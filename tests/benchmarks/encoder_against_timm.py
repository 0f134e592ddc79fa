"""Pictures a second of `ophglm train-encoder` and of a plain timm loop: same network, machine, run.

    python -m tests.benchmarks.encoder_against_timm DATA [PICTURES] [EPOCHS]

DATA: labelled photographs, as train-encoder reads them. Both train an EfficientNet-lite0 at 224 px
in batches of 32 with AdamW in the precision that `ophglm train-encoder` takes on this machine. The
plain loop is timm's: its training transform on files opened anew in each epoch by as many workers
as there are cores, its model, a loss, a step; without the weights' moving average, heads and
validation that train-encoder adds. Times are of the epochs alone, and for train-encoder also with
the decoding that it does once before them.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch.nn import functional

from ophglm_core.data.records import Record
from ophglm_core.training.config import Callbacks, EncoderConfig
from ophglm_core.training.encoder import EncoderStage
from ophglm_core.training.trainer import Trainer, make_accelerator

_NETWORK, _SIZE, _BATCH = "tf_efficientnet_lite0", 224, 32


def ours(data: Path, pictures: int, epochs: int) -> tuple[list[Record], float, float, bool]:
    """Return what was trained on, the seconds of decoding and of the epochs, and whether it was in
    bf16."""
    with tempfile.TemporaryDirectory() as name:
        config = EncoderConfig(
            data=(data,),
            out=Path(name) / "encoder",
            architecture=_NETWORK,
            size=_SIZE,
            epochs=epochs,
            batch_size=_BATCH,
        )
        accelerator = make_accelerator(config)
        half = accelerator.mixed_precision == "bf16"
        stage = EncoderStage(config)
        stage.parts["train"] = stage.parts["train"][:pictures]
        stage.parts["validation"] = stage.parts["validation"][:1]
        began = time.monotonic()
        stage.prepare(accelerator, Callbacks())
        decoded = time.monotonic()
        trainer = Trainer(stage, config, accelerator, Callbacks())
        trainer._save = lambda: None  # timm's loop saves nothing either
        trainer.run()
        ended = time.monotonic()
        return stage.parts["train"], decoded - began, ended - decoded, half


class Files(torch.utils.data.Dataset):
    """Photographs through timm's training transform."""

    def __init__(self, records: Sequence[Record], outputs: int):
        from timm.data import create_transform

        self.transform = create_transform((3, _SIZE, _SIZE), is_training=True)
        self.records, self.outputs = records, outputs

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        with Image.open(self.records[index].image) as image:
            return self.transform(image.convert("RGB")), torch.zeros(self.outputs)


def theirs(records: Sequence[Record], epochs: int, half: bool, channels_last: bool) -> float:
    """Return the seconds of a plain loop around timm's model."""
    import timm

    outputs = 13
    model = timm.create_model(_NETWORK, num_classes=outputs).train()
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.02)
    loader = torch.utils.data.DataLoader(
        Files(records, outputs),
        _BATCH,
        shuffle=True,
        num_workers=os.cpu_count() or 1,
        persistent_workers=True,
    )
    began = time.monotonic()
    for _ in range(epochs):
        for pixels, truth in loader:
            if channels_last:
                pixels = pixels.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                loss = functional.binary_cross_entropy_with_logits(model(pixels).float(), truth)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return time.monotonic() - began


def main() -> None:
    """Train both ways and print the rates."""
    data = Path(sys.argv[1])
    pictures = int(sys.argv[2]) if len(sys.argv) > 2 else 512
    epochs = int(sys.argv[3]) if len(sys.argv) > 3 else 2
    records, decoding, seconds, half = ours(data, pictures, epochs)
    seen = len(records) * epochs
    threads = torch.get_num_threads()
    print(f"{len(records)} pictures, {epochs} epochs, bf16: {half}, {threads} threads")
    print(f"ophglm train-encoder         {seen / seconds:6.1f} pictures a second")
    print(f"  with decoding              {seen / (seconds + decoding):6.1f}")
    for channels_last in (False, True):
        seconds = theirs(records, epochs, half, channels_last)
        layout = "channels last" if channels_last else "as it comes"
        print(f"timm, {layout:<22} {seen / seconds:6.1f}", flush=True)


if __name__ == "__main__":
    main()
