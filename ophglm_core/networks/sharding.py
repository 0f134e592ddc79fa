"""A frozen language model in shares: each process holds its own of each matrix, and gathers a layer
while it runs (FSDP2; Zhao et al. 2023, arXiv 2304.11277).

What is trained beside it, an adapter or a fusion module, is small and whole in each process: its
gradients, moving average and checkpoints are those of plain data parallelism.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ParamSpec, TypeVar

from accelerate import Accelerator
from accelerate.utils import FullyShardedDataParallelPlugin, patch_environment
from torch import nn

from ..errors import UsageError

P = ParamSpec("P")
T = TypeVar("T")
#: How `accelerate launch` tells its processes that its configuration wants FSDP.
_WANTED = "ACCELERATE_USE_FSDP"


def without_fsdp() -> AbstractContextManager[None]:
    """Hide the launcher's wish from accelerate and transformers.

    accelerate would shard what is trained, transformers load one process's weights and no other's.
    """
    held: AbstractContextManager[None] = patch_environment(**{_WANTED: "false"})
    return held


def launched_sharding(accelerator: Accelerator, four_bit: bool) -> Sharding | None:
    """Return how `accelerate launch` was configured to shard, or None where it was not.

    None as well for a single process, which has all shares. Raises UsageError for a configuration
    that cannot be used.
    """
    if os.environ.get(_WANTED, "false").lower() != "true" or accelerator.num_processes == 1:
        return None
    if os.environ.get("FSDP_VERSION", "1") != "2":
        raise UsageError("Only FSDP2 can be used; set fsdp_version: 2 in accelerate's config file.")
    if four_bit:
        raise UsageError("A language model of 4 bits cannot be sharded; omit --4bit or FSDP.")
    if os.environ.get("FSDP_OFFLOAD_PARAMS", "false").lower() == "true":
        raise UsageError("Shares stay on their device; set fsdp_offload_params: false.")
    return Sharding(accelerator)


class Sharding:
    """accelerate's FSDP configuration, applied to a frozen language model."""

    def __init__(self, accelerator: Accelerator):
        from torch.distributed.device_mesh import init_device_mesh

        self._accelerator = accelerator
        self._plugin = FullyShardedDataParallelPlugin()
        self._mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))

    @property
    def checkpointing(self) -> bool:
        """Whether a layer's activations are to be computed again on the way back."""
        return bool(self._plugin.activation_checkpointing)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let the processes of a machine load one after another.

        So its memory holds one whole model at a time, beside the shares.
        """
        accelerator = self._accelerator
        own = accelerator.local_process_index
        turns = int(os.environ.get("LOCAL_WORLD_SIZE", accelerator.num_processes))
        for _ in range(own):
            accelerator.wait_for_everyone()
        try:
            with without_fsdp():
                yield
        finally:
            for _ in range(turns - own):
                accelerator.wait_for_everyone()

    def apply(self, model: Any) -> Sharded:
        """Keep this process's share of a frozen transformers model, on its device.

        A unit is a layer, by the model's `_no_split_modules` or as the configuration has it, and
        what stands outside the layers. Raises UsageError if no layer of the configured name exists.
        """
        from accelerate.utils.fsdp_utils import fsdp2_prepare_auto_wrap_policy
        from torch.distributed.fsdp import fully_shard

        try:
            self._plugin.set_auto_wrap_policy(model)
            is_unit = fsdp2_prepare_auto_wrap_policy(self._plugin, model)
        except ValueError as error:
            raise UsageError(f"FSDP cannot be used ({str(error).rstrip('.')}).") from None
        again = self._plugin.reshard_after_forward
        # From the inside out: a unit holds what none within it does.
        for module in reversed(list(model.modules())):
            if module is not model and is_unit is not None and is_unit(module):
                fully_shard(module, mesh=self._mesh, reshard_after_forward=again)
        whole = Sharded(model)
        # Said of the root, too: by itself it would keep its weights gathered after an evaluation.
        fully_shard(whole, mesh=self._mesh, reshard_after_forward=again)
        return whole


class Sharded(nn.Module):
    """The root of a sharded language model: what runs in its forward finds the weights gathered."""

    def __init__(self, model: Any):
        super().__init__()
        self.model = model

    def forward(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function gives that runs parts of the model."""
        return function(*args, **kwargs)
