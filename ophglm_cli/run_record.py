"""What a run of `ophglm classify` was, in a file beside its rows: by what they can be explained,
and made again."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ophglm_core.files import write_text
from ophglm_core.findings import NOTICE
from ophglm_core.inputs import Inputs, Shard
from ophglm_core.remote_files import RemotePath, upload

if TYPE_CHECKING:
    from ophglm_core.classifier import Classifier

    from .classify_summary import Summary

_PACKAGES = ("ophglm", "pillow", "numpy")


def record_path(rows: Path) -> Path:
    """Return where the record of a file of rows stands."""
    if isinstance(rows, RemotePath):
        return RemotePath(f"{rows}.run.json")
    return rows.with_name(rows.name + ".run.json")


def write_record(
    rows: Path, classifier: Classifier, inputs: Inputs, summary: Summary, shard: Shard | None
) -> None:
    """Write the record of a run that is complete. Raises InputError if it cannot be written."""
    from onnxruntime import __version__ as runtime_version  # onnxruntime-gpu is the same module

    passed_over = inputs.passed_over
    record: dict[str, Any] = {
        "rows": rows.name,
        "command": shlex.join(["ophglm", *sys.argv[1:]]),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in _PACKAGES} | {"onnxruntime": runtime_version},
        "device": classifier.device,
        "model": classifier.model.identity,
        "encoder_sha256": classifier.model.manifest.encoder.sha256,
        "input_size": classifier.model.manifest.encoder.input_size,
        "views": classifier.views,
        "thresholds": classifier.thresholds,
        "rule_out": classifier.rule_out,
        "referable_threshold": classifier.referable,
        "part": f"{shard.number}/{shard.count}" if shard else None,
        **summary.counts(),
        "passed_over": {kind: count for kind, count in passed_over.kinds.items() if count},
        "folders_not_read": [str(folder) for folder in passed_over.unreadable],
        "notice": NOTICE,
    }
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    to = record_path(rows)
    if isinstance(to, RemotePath):
        upload(text.encode(), to)
    else:
        write_text(to, text)
