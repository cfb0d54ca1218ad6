"""Devices, precision and the backward step, by Lightning Fabric."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary
from torch_geometric.data import Data


class Engine:
    r"""Runs models and optimizers where and how the trainer was told to.

    A thin layer over Lightning Fabric. It leaves the module as it is, so that strategies can call single layers, and
    averages gradients over devices in :meth:`optimize`, so that every strategy can use several.

    Args:
        accelerator: Fabric's names: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``.
        devices: The number of devices of each machine.
        precision: Fabric's names: ``"32-true"``, ``"64-true"``, ``"bf16-mixed"``, ``"16-mixed"``, ...
        clip_norm: The largest norm of the gradient of one step (``None``: no clipping).
        num_nodes: The number of machines (default: 1).
    """

    def __init__(
        self, accelerator: str, devices: int, precision: str, clip_norm: float | None, num_nodes: int = 1
    ) -> None:
        from lightning_fabric import Fabric

        self.fabric = Fabric(
            accelerator=accelerator,
            devices=devices,
            num_nodes=num_nodes,
            precision=precision,  # type: ignore[arg-type]
        )
        self.fabric.launch()
        self.clip_norm = clip_norm
        self._dtype = torch.float64 if precision == "64-true" else None
        self._autocast = "mixed" in precision
        self._on_device: Any = WeakTensorKeyDictionary()

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        return self.fabric.device

    @property
    def shard(self) -> tuple[int, int]:
        """This process's rank and the number of processes."""
        return self.fabric.global_rank, self.fabric.world_size

    def place(self, model: nn.Module) -> nn.Module:
        """The model on the device, in double precision if that was chosen."""
        return model.to(device=self.device, dtype=self._dtype)

    def to_device(self, batch: Data) -> Data:
        """The batch on the device, in the model's precision.

        A tensor that batches share, such as the graph of a link task, is copied once; so what is computed from it once
        (normalised matrices) is found again. A graph that is to be read in chunks (``chunk_size``) stays on the CPU.
        """
        device = torch.device("cpu") if "chunk_size" in batch else self.device
        if self._dtype is None and device.type == "cpu":
            return batch
        return copy.copy(batch).apply(lambda value: self._copy(value, device))

    def _copy(self, value: Tensor, device: torch.device) -> Tensor:
        copies = self._on_device.get(value, {})  # by device: an evaluation in chunks reads the graph on the CPU
        if device in copies:
            return copies[device]
        moved = value.to(device=device, dtype=self._dtype if value.is_floating_point() else None)
        if moved is not value:  # it would keep itself alive
            self._on_device[value] = copies | {device: moved}
        return moved

    def forward(self, model: Callable[..., Tensor], *arguments: Any) -> Tensor:
        """``model(*arguments)`` under the chosen precision; 16-bit outputs are returned as float32."""
        if not self._autocast:
            return model(*arguments)
        with self.fabric.autocast():
            out = model(*arguments)
        return out.float()

    def setup_optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """The optimizer with Fabric's precision handling (loss scaling for 16-bit floats)."""
        return self.fabric.setup_optimizers(optimizer)  # type: ignore[return-value]

    def optimize(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Backward, average over devices, clip and step."""
        optimizer.zero_grad()
        self.fabric.backward(loss)
        if self.fabric.world_size > 1:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.grad = self.fabric.all_reduce(parameter.grad, reduce_op="mean")
        if self.clip_norm is not None:
            self.fabric.clip_gradients(nn.Identity(), optimizer, max_norm=self.clip_norm)
        optimizer.step()
        for group in optimizer.param_groups:
            for parameter in group["params"]:  # fused optimizers write without telling autograd
                torch.autograd.graph.increment_version(parameter)
