"""`ophglm classify --ray`: photographs classified by the processors of a Ray cluster.

A batch of photographs is a task, and each process that runs tasks keeps one classifier. Ray gives a
task whose machine was lost to any other one; an actor would wait for room to be started again in,
which a cluster that has lost a machine may never have.
"""

from __future__ import annotations

import logging
import os
import platform
import socket
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from ophglm_core.archives import archive_of
from ophglm_core.classifier import BATCH_SIZE, Classifier
from ophglm_core.errors import InputError, OphglmError, UsageError
from ophglm_core.findings import Findings
from ophglm_core.model_folder import ModelFolder, open_model
from ophglm_core.remote_files import RemotePath

#: Batches of the encoder in a task. What is in one batch is as in a single process, since the last
#: digit of a probability may depend on that.
_MOST_BATCHES = 16
#: Tasks that are given out for each processor.
_AHEAD = 3
#: How often a task is begun anew before its photographs are taken for what kills its process.
_RETRIES = 5
#: Results are small; Ray would take a third of the memory.
_STORE_BYTES = 128 << 20
#: How long a cluster's address may take to answer.
_SECONDS = 10


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Be connected to a cluster for the block.

    address: 'auto' (the cluster that this machine belongs to), 'local' (a cluster of this machine's
    processors, for the block), or what `ray.init` takes. Raises UsageError if there is none.
    """
    # Nothing may leave a clinic unasked, and the terminal is ours. Ray reads these as it loads.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of a change
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address == "local":
        quiet |= {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
    try:
        _check_reachable(address)
        ray.init(address, **quiet)
    except Exception as error:  # of many kinds
        reason = " ".join(str(error).split(". ")[0].split()).rstrip(".")
        raise UsageError(
            f"There is no Ray cluster at '{address}' ({reason}); --ray local takes this machine."
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raise OSError if nobody listens at HOST:PORT, of which Ray complains for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()


def classify_on_cluster(model: ModelFolder, pictures: Sequence[Path]) -> Iterator[Findings]:
    """Yield the findings of pictures, in their order, as `Classifier.classify` gives them.

    Within `connected`. The machines need ophglm, the model (bundled, or a folder at the same path)
    and the pictures. Raises UsageError where one lacks these, InputError if tasks with the same
    pictures are lost again and again.
    """
    import ray

    task = ray.remote(num_cpus=1, max_retries=_RETRIES)(_classify)
    name = str(model.path.resolve())
    folder = os.getcwd() if any(_is_relative(picture) for picture in pictures) else None
    remaining = iter(pictures)
    under_way: deque[tuple[list[Path], Any]] = deque()
    while True:
        processors = max(1, int(ray.cluster_resources().get("CPU", 1)))  # it may grow
        share = len(pictures) // (2 * processors * BATCH_SIZE)
        size = BATCH_SIZE * min(max(share, 1), _MOST_BATCHES)
        while len(under_way) < _AHEAD * processors and (batch := list(islice(remaining, size))):
            under_way.append((batch, task.remote(name, model.identity, folder, batch)))
        if not under_way:
            return
        batch, reference = under_way.popleft()
        for picture, (findings, known) in zip(batch, _result(reference, batch), strict=True):
            if isinstance(picture, RemotePath):
                picture.known = known
            elif findings.message == f"No such file: {picture}." and _is_here(picture):
                raise UsageError(
                    f"{picture} is here but not on a machine of the cluster; name photographs on a "
                    "disk that all of them share, or on an object store."
                )
            yield findings


def _result(reference: Any, batch: list[Path]) -> list[tuple[Findings, dict[str, Any] | None]]:
    import ray

    try:
        result: list[tuple[Findings, dict[str, Any] | None]] = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        told = str(cause) if isinstance(cause, OphglmError) else f"{type(cause).__name__}: {cause}"
        raise UsageError(f"A machine of the cluster cannot classify: {told}") from None
    except ray.exceptions.RayError as error:
        raise InputError(
            f"The {len(batch)} photographs from {batch[0]} on were given up: each process that had "
            f"them was lost ({type(error).__name__})."
        ) from None
    return result


def _is_relative(picture: Path) -> bool:
    return not isinstance(picture, RemotePath) and not picture.is_absolute()


def _is_here(picture: Path) -> bool:
    return archive_of(picture) is not None or os.path.exists(picture)


def _classify(
    model: str, identity: str, folder: str | None, pictures: list[Path]
) -> list[tuple[Findings, dict[str, Any] | None]]:
    """In a process of the cluster: return the findings, each with what the store said of its file.

    folder: from which relative paths lead.
    """
    if folder is not None:
        try:
            os.chdir(folder)
        except OSError:
            raise UsageError(
                f"{folder} is not there on {platform.node()}; start from a folder on a disk that "
                "all machines share."
            ) from None
    classifier = _classifier(model, identity)
    found = list(classifier.classify(pictures))
    known = (p.known if isinstance(p, RemotePath) else None for p in pictures)
    return list(zip(found, known, strict=True))


@lru_cache(maxsize=1)
def _classifier(model: str, identity: str) -> Classifier:
    # On another machine the bundled models may lie elsewhere.
    opened = open_model(model if os.path.isdir(model) else os.path.basename(model))
    if opened.identity != identity:
        raise UsageError(f"{platform.node()} has {opened.identity} in the place of {identity}.")
    return Classifier(opened, threads=1)
