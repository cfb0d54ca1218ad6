"""Devices, precision and the backward step, by Lightning Fabric."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary
from torch_geometric.data import Data

PRECISIONS = (
    *("32-true", "64-true", "bf16-true", "bf16-mixed", "16-mixed"),  # Fabric's names, then its short ones
    *("64", "32", "16", "bf16", 64, 32, 16),
)
_TRUE = {"32-true": None, "64-true": torch.float64, "bf16-true": torch.bfloat16}
_HALF = (torch.bfloat16, torch.float16)
_JUDGED = ("y", "edge_label", "node_weight", "pair_weight")  # what the loss reads, in no less than float32
_TIMES = ("t", "edge_time", "edge_label_time")  # of events, of which 32 bits would lose the digits that differ


def scales_loss(precision: str | int) -> bool:
    """Whether the loss is scaled, so that gradients of 16 bits do not vanish; the host reads whether one overflowed."""
    return str(precision) in ("16-mixed", "16")


class Engine:
    r"""Runs models and optimizers where and how the trainer was told to.

    A thin layer over Lightning Fabric. It leaves the module as it is, so that strategies can call single layers, and
    averages gradients over devices in :meth:`optimize`, so that every strategy can use several.

    Args:
        accelerator: ``"auto"``, ``"cpu"`` or ``"cuda"``, also called ``"gpu"``. Others lack sparse products, so that
            ``"auto"`` leaves them aside.
        devices: The number of devices of each machine.
        precision: Fabric's names: ``"32-true"``, ``"64-true"``, ``"bf16-true"``, ``"bf16-mixed"``, ``"16-mixed"``.
            Outputs of 16 bits become float32 before the loss, and labels stay so.
        clip_norm: The largest norm of the gradient of one step (``None``: no clipping).
        num_nodes: The number of machines (default: 1).
        accumulate: How many batches a step sees (default: 1).
        scale_lr: By which power of that number the rate of the step grows (default: 0).
    """

    def __init__(
        self,
        accelerator: str,
        devices: int,
        precision: str | int,
        clip_norm: float | None,
        num_nodes: int = 1,
        accumulate: int = 1,
        scale_lr: float = 0.0,
    ) -> None:
        from lightning_fabric.accelerators import CUDAAccelerator

        from graphkit.training.fabric import Fabric

        chosen = {"auto": "cuda" if CUDAAccelerator.is_available() else "cpu", "gpu": "cuda"}
        self.fabric = Fabric(
            accelerator=chosen.get(accelerator, accelerator),
            devices=devices,
            num_nodes=num_nodes,
            precision=precision,  # type: ignore[arg-type]
        )
        self.fabric.launch()
        self.clip_norm = clip_norm
        self.accumulate, self.scale_lr = accumulate, scale_lr
        self._seen: dict[torch.optim.Optimizer, int] = {}  # batches since the last step
        named = self.fabric._precision.precision  # short names such as "bf16" are spelled out
        self._autocast = named in ("bf16-mixed", "16-mixed")
        self._dtype = self._of_weights = _TRUE.get(named)
        self._on_device: Any = WeakTensorKeyDictionary()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_on_device": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"_on_device": WeakTensorKeyDictionary()})

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        return self.fabric.device

    @property
    def is_gpu(self) -> bool:
        """Whether the device is a GPU of CUDA."""
        return self.device.type == "cuda"

    @property
    def shard(self) -> tuple[int, int]:
        """This process's rank and the number of processes."""
        return self.fabric.global_rank, self.fabric.world_size

    @property
    def is_half(self) -> bool:
        """Whether weights and inputs have 16 bits."""
        return self._dtype in _HALF

    def on_first(self, action: Callable[[], object]) -> None:
        """Let the first process do something; where it fails, all processes raise its error."""
        error = None
        if self.shard[0] == 0:
            try:
                action()
            except Exception as caught:
                error = caught
        if self.shard[1] > 1:
            error = self.fabric.broadcast(error)
        if error is not None:
            raise error

    def in_any(self, flag: bool) -> bool:
        """Whether a flag is set in any process; all of them ask."""
        if self.shard[1] == 1:
            return flag
        return bool(self.fabric.all_reduce(torch.tensor(float(flag)), reduce_op="max"))

    def from_first(self, value: Any) -> Any:
        """The first process's value, in all of them."""
        return value if self.shard[1] == 1 else self.fabric.broadcast(value)

    def start_alike(self, *parts: Any) -> None:
        """Give every process the state of the first: weights that were there before, or were drawn without a seed."""
        if self.shard[1] > 1:
            for part in parts:
                part.load_state_dict(self.from_first(part.state_dict()))

    def average_buffers(self, model: nn.Module) -> None:
        """The mean over processes of what modules measure, such as the running statistics of batch normalisation."""
        if self.shard[1] > 1:
            for buffer in model.buffers():
                if buffer.is_floating_point():
                    mean: Any = self.fabric.all_reduce(buffer, reduce_op="mean")
                    buffer.copy_(mean)

    def place(self, model: nn.Module) -> nn.Module:
        """The model on the device, in the precision of its weights."""
        model.to(device=self.device, dtype=self._dtype)
        self._of_weights = next((p.dtype for p in model.parameters() if p.is_floating_point()), self._of_weights)
        return model

    def initialise(self, model: nn.Module, draw: Callable[[nn.Module], Any]) -> Any:
        """``draw(model)``, which sets initial weights; in float32 where they have 16 bits, as torch lacks draws."""
        if self.is_half:
            model.float()
        drawn = draw(model)
        self.place(model)
        return drawn

    def pin(self, batch: Data) -> Data:
        """The batch in memory from which the device copies by itself."""
        return batch.apply(lambda value: value.pin_memory() if value.layout == torch.strided else value)

    def to_device(self, batch: Data) -> Data:
        """The batch on the device, in the dtype of the model's weights: features may have come in another.

        A tensor that batches share, such as the graph of a link task, is copied once; so what is computed from it once
        (normalised matrices) serves all. A graph that is to be read in chunks (``chunk_size``) stays on the CPU.
        """
        device = torch.device("cpu") if "chunk_size" in batch else self.device
        times = [key for key in _TIMES if key in batch] if "edge_label_time" in batch else []
        wider = {*_JUDGED, *times}
        inputs = [key for key in batch.keys() if key not in wider]  # noqa: SIM118
        as_it_is = device.type == "cpu" and not any(self._is_of_other_dtype(batch[key]) for key in inputs)
        if self._dtype is None and as_it_is:
            return batch
        batch = copy.copy(batch)
        judged = [key for key in _JUDGED if key in batch]
        batch.apply(lambda value: self._copy(value, device, self._of_weights), *inputs)
        if times:
            batch.apply(lambda value: self._copy(value, device, value.dtype), *times)
        wide = self._dtype and torch.promote_types(self._dtype, torch.float32)
        return batch.apply(lambda value: self._copy(value, device, wide), *judged) if judged else batch

    def _is_of_other_dtype(self, value: Any) -> bool:
        return isinstance(value, Tensor) and value.is_floating_point() and value.dtype != self._of_weights is not None

    def _copy(self, value: Tensor, device: torch.device, dtype: torch.dtype | None) -> Tensor:
        copies = self._on_device.get(value, {})  # by device: an evaluation in chunks reads the graph on the CPU
        if (device, dtype) in copies:
            return copies[device, dtype]
        moved = value.to(device=device, dtype=dtype if value.is_floating_point() else None, non_blocking=True)
        if moved is not value:  # it would keep itself alive
            self._on_device[value] = copies | {(device, dtype): moved}
        return moved

    def forward(self, model: Callable[..., Tensor], *arguments: Any) -> Tensor:
        """``model(*arguments)`` under the chosen precision; outputs of 16 bits are returned as float32."""
        try:
            if not self._autocast and not self.is_half:
                return model(*arguments)
            with self.fabric.autocast():
                out = model(*arguments)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            remedy = "use a larger batch_size, or a layer norm"
            raise ValueError(f"Trainer: batch norm cannot be trained on a batch of one row; {remedy}") from error
        return out.float() if isinstance(out, Tensor) and out.dtype in _HALF else out

    def setup_optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """The optimizer with Fabric's precision handling (loss scaling for 16-bit floats)."""
        return self.fabric.setup_optimizers(optimizer)  # type: ignore[return-value]

    def optimize(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Backward; then, if so many batches have been seen, average over them and devices, clip and step."""
        if not loss.requires_grad:
            raise ValueError(
                "Trainer: the loss does not depend on any trainable weight, so it has no gradient; the outputs "
                "are detached, or were computed under torch.no_grad()"
            )
        if optimizer not in self._seen:
            optimizer.zero_grad()
        self.fabric.backward(loss)
        self._seen[optimizer] = self._seen.get(optimizer, 0) + 1
        if self._seen[optimizer] == self.accumulate:
            self._step(optimizer)

    @property
    def is_between_steps(self) -> bool:
        """Whether all batches so far are in the weights."""
        return not self._seen

    def finish_steps(self) -> None:
        """Step where fewer batches than wanted were left in the epoch."""
        for optimizer in list(self._seen):
            self._step(optimizer)

    def _step(self, optimizer: torch.optim.Optimizer) -> None:
        count = self._seen.pop(optimizer)
        for parameter in (each for group in optimizer.param_groups for each in group["params"]) if count > 1 else ():
            if parameter.grad is not None:
                parameter.grad.div_(count)
        if self.fabric.world_size > 1:
            self._average([parameter for group in optimizer.param_groups for parameter in group["params"]])
        if self.clip_norm is not None:
            self.fabric.clip_gradients(nn.Identity(), optimizer, max_norm=self.clip_norm)
        if self.scale_lr:
            _step_by(optimizer, count**self.scale_lr)
        else:
            optimizer.step()
        written = (parameter for group in optimizer.param_groups for parameter in group["params"])
        torch.autograd.graph.increment_version(written)  # fused optimizers write without telling autograd

    def _average(self, parameters: list[nn.Parameter]) -> None:
        """The mean of gradients over processes, in one message for each dtype; where one has none, it counts as 0."""
        for dtype in sorted({parameter.dtype for parameter in parameters}, key=str):
            members = [parameter for parameter in parameters if parameter.dtype == dtype]
            grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in members]
            known = grads[0].new_tensor([p.grad is not None for p in members])
            message = torch.cat([grad.reshape(-1) for grad in grads] + [known])
            mean: Any = self.fabric.all_reduce(message, reduce_op="mean")
            *means, known = mean.split([p.numel() for p in members] + [len(members)])
            for parameter, grad, count in zip(members, means, known.tolist()):
                parameter.grad = grad.view_as(parameter) if count > 0 else None


def _step_by(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """A step at so many times the rates, which stay as they are."""
    rates = [group["lr"] for group in optimizer.param_groups]
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate * factor
    optimizer.step()
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
