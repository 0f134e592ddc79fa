"""Tokens a second of `ophglm sft` and of TRL's SFTTrainer: same model, texts, machine, one run.

    pip install trl && python tests/benchmarks/sft_against_trl.py TEXTS [SAMPLES]

TEXTS: what `ophglm build-instructions` wrote. Both train a LoRA of rank 16 on all linear layers of
the embedded language model, dequantised, in batches of 16 for one epoch, without photographs, with
the loss on the assistant's words, in the precision that `ophglm sft` takes on this machine. TRL
runs as it comes and with batches of like length, as ours has them.
"""

from __future__ import annotations

import copy
import sys
import tempfile
import time
from pathlib import Path

import torch

from ophglm_core.networks.language_model import TorchLanguageModel
from ophglm_core.training.config import Callbacks, SftConfig
from ophglm_core.training.sft import SftStage
from ophglm_core.training.trainer import Trainer, make_accelerator

_BATCH_SIZE, _MAX_LENGTH, _RANK, _ALPHA = 16, 320, 16, 32


def plain_copy(llm: TorchLanguageModel, folder: Path) -> None:
    """Write a language model that was read from a GGUF as transformers keeps one that never was."""
    from transformers import AutoModelForCausalLM

    config = copy.deepcopy(llm.model.config)
    config.__dict__.pop("quantization_config", None)
    model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(llm.model.state_dict())
    model.save_pretrained(str(folder))
    llm.tokenizer.save_pretrained(str(folder))


def ours(model: Path, texts: Path, samples: int, work: Path) -> tuple[float, int, list, bool]:
    """Return seconds, tokens that are no padding, the conversations that were trained on, and
    whether it was in bf16."""
    config = SftConfig(
        model="ophglm-smollm2-135m",
        data=texts,
        out=work / "adapter",
        llm=str(model),
        samples=samples,
        epochs=1,
        batch_size=_BATCH_SIZE,
        rank=_RANK,
        alpha=_ALPHA,
        max_length=_MAX_LENGTH,
    )
    accelerator = make_accelerator(config)
    half = accelerator.mixed_precision == "bf16"
    stage = SftStage(config)
    stage.texts += stage.judged  # TRL holds none out
    stage.judged = stage.judged[:1]
    stage.prepare(accelerator, Callbacks())
    trainer = Trainer(stage, config, accelerator, Callbacks())
    trainer._save = lambda: None  # TRL saves nothing either
    began = time.monotonic()
    trainer.run()
    seconds = time.monotonic() - began
    return seconds, stage.tokens, [s.messages for s in stage.epoch_samples(0)], half


def theirs(model: Path, conversations: list, work: Path, sampling: str, half: bool) -> float:
    """Return the seconds of TRL's training loop."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    layers = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(str(model), dtype=torch.float32),
        processing_class=AutoTokenizer.from_pretrained(str(model)),
        train_dataset=Dataset.from_list(
            [{"prompt": said[:-1], "completion": said[-1:]} for said in conversations]
        ),
        peft_config=LoraConfig(
            r=_RANK, lora_alpha=_ALPHA, lora_dropout=0.05, target_modules=layers
        ),
        args=SFTConfig(
            output_dir=str(work),
            num_train_epochs=1,
            per_device_train_batch_size=_BATCH_SIZE,
            learning_rate=5e-4,
            max_length=_MAX_LENGTH,
            train_sampling_strategy=sampling,
            gradient_checkpointing=False,
            bf16=half,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
        ),
    )
    began = time.monotonic()
    trainer.train()
    return time.monotonic() - began


def main() -> None:
    texts, samples = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 192
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        plain_copy(TorchLanguageModel(None, torch.device("cpu")), work / "model")
        seconds, tokens, conversations, half = ours(work / "model", texts, samples, work)
        precision, threads = "bf16" if half else "fp32", torch.get_num_threads()
        print(f"{samples} conversations, {tokens} tokens, {precision}, {threads} threads")
        print(f"ophglm sft               {tokens / seconds:7.0f} tokens a second")
        for sampling in ("random", "group_by_length"):
            seconds = theirs(work / "model", conversations, work / "trl", sampling, half)
            print(f"TRL, {sampling:<19} {tokens / seconds:7.0f} tokens a second")


if __name__ == "__main__":
    main()
