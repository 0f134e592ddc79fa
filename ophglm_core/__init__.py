"""OphGLM: a research assistant for colour fundus photographs. Decision support, not a diagnosis.

Example:
    import ophglm_core as ophglm

    assistant = ophglm.load()
    for finding in assistant.classify(["a.jpg", "photographs/"]):
        print(finding.image, finding.positive, finding.probabilities)
    for part in assistant.chat("left.jpg", "right.jpg").ask("How urgent is it?"):
        print(part.kind, part.text, part.source)

Names are imported when they are first used (PEP 562): torch only where a training needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .assistant import Assistant, load
    from .chat.conversation import Chat
    from .chat.parts import AnswerPart
    from .conditions import CONDITIONS, Condition, LabelSet
    from .errors import InputError, OphglmError, UsageError
    from .evaluation.classification import evaluate_classifier as evaluate
    from .evaluation.text import evaluate_texts
    from .evaluation.vqa import evaluate_vqa
    from .export.folder import export_model as export
    from .findings import Findings
    from .local_calibration import calibrate
    from .model_folder import ModelFolder, open_model
    from .training import fine_tune as sft
    from .training import train_encoder, train_fusion
    from .training.config import Callbacks

#: Public name -> the module it lies in and what it is called there.
_HOMES = {
    "AnswerPart": ("chat.answer", "AnswerPart"),
    "Assistant": ("assistant", "Assistant"),
    "CONDITIONS": ("conditions", "CONDITIONS"),
    "Callbacks": ("training.config", "Callbacks"),
    "Chat": ("chat.conversation", "Chat"),
    "Condition": ("conditions", "Condition"),
    "Findings": ("findings", "Findings"),
    "InputError": ("errors", "InputError"),
    "LabelSet": ("conditions", "LabelSet"),
    "ModelFolder": ("model_folder", "ModelFolder"),
    "OphglmError": ("errors", "OphglmError"),
    "UsageError": ("errors", "UsageError"),
    "calibrate": ("local_calibration", "calibrate"),
    "evaluate": ("evaluation.classification", "evaluate_classifier"),
    "evaluate_texts": ("evaluation.text", "evaluate_texts"),
    "evaluate_vqa": ("evaluation.vqa", "evaluate_vqa"),
    "export": ("export.folder", "export_model"),
    "load": ("assistant", "load"),
    "open_model": ("model_folder", "open_model"),
    "sft": ("training", "fine_tune"),
    "train_encoder": ("training", "train_encoder"),
    "train_fusion": ("training", "train_fusion"),
}

__all__ = [
    "CONDITIONS",
    "AnswerPart",
    "Assistant",
    "Callbacks",
    "Chat",
    "Condition",
    "Findings",
    "InputError",
    "LabelSet",
    "ModelFolder",
    "OphglmError",
    "UsageError",
    "calibrate",
    "evaluate",
    "evaluate_texts",
    "evaluate_vqa",
    "export",
    "load",
    "open_model",
    "sft",
    "train_encoder",
    "train_fusion",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ophglm_core' has no attribute '{name}'")
    module, attribute = _HOMES[name]
    value = getattr(import_module(f"{__name__}.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
