"""What a CUDA device does with each operation of torch: which it has, where the host waits, what costs no kernel."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The host waits for the device: it needs a value, or the size of a result.
WAITS = _names(
    """
    _local_scalar_dense is_nonzero equal nonzero argwhere masked_select _unique _unique2 unique_dim
    unique_consecutive unique_dim_consecutive bincount histc _coalesce linalg_eigh _linalg_eigh _linalg_svd
    _linalg_check_errors linalg_lstsq to_dense
    _to_sparse _to_sparse_csr
    """
)
# Operands of these may lie on the CPU: the indices are copied.
INDEXING = frozenset({"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"})
# In these, not even a single number may lie on the CPU.
STRICT = frozenset({"index_select", "gather", "scatter", "scatter_add", "index_add_", "index_add"})
COPIES = frozenset({"copy_", "_to_copy", "copy"})
# They write into operands without saying so in their schema: the running statistics.
SILENT_WRITES = {"native_batch_norm": ("running_mean", "running_var")}
# Views and allocations: they launch no kernel.
FREE = _names(
    """
    detach view _unsafe_view expand t transpose permute select slice unsqueeze squeeze as_strided alias split
    split_with_sizes unbind empty empty_like new_empty empty_strided new_empty_strided lift_fresh crow_indices
    col_indices values _nnz unfold diagonal _reshape_alias sym_size sym_numel sym_stride is_same_size lift _values
    _indices is_pinned
    """
)


@functools.cache
def cuda_kernels() -> dict[str, bool]:
    """Whether each operation of torch runs on CUDA tensors, by the declaration that every torch wheel carries."""
    import torchgen
    import yaml

    path = Path(torchgen.__file__).parent / "packaged" / "ATen" / "native" / "native_functions.yaml"
    entries = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    by_name = {entry["func"].split("(")[0]: entry for entry in entries}

    def has(entry: dict[str, Any]) -> bool:
        if "structured_delegate" in entry:
            return has(by_name[entry["structured_delegate"]])
        keys = [key.strip() for group in entry.get("dispatch", {"Composite": ""}) for key in group.split(",")]
        return any("CUDA" in key or key.startswith("Composite") for key in keys)

    found = {name: has(entry) for name, entry in by_name.items()}
    for name in by_name:  # variants with out= and in place are generated from these
        found.setdefault(name.split(".")[0], found[name])
    return found


def has_cuda_kernel(operation: Any) -> bool:
    """Whether an operation runs on CUDA; one that torch does not declare counts as if it did."""
    name, overload = operation._schema.name.partition("::")[2], operation._schema.overload_name
    known = cuda_kernels()
    return known.get(f"{name}.{overload}" if overload else name, known.get(name, True))


def _gru(gates: Tensor, hidden: Tensor, hx: Tensor, b1: Tensor | None = None, b2: Tensor | None = None) -> Any:
    gates, hidden = gates if b1 is None else gates + b1, hidden if b2 is None else hidden + b2
    (ir, iz, i), (hr, hz, h) = gates.chunk(3, 1), hidden.chunk(3, 1)
    r, z = (ir + hr).sigmoid(), (iz + hz).sigmoid()
    n = (i + r * h).tanh()
    return n + z * (hx - n), torch.cat([r, z, n, hx, h], 1)


def _gru_backward(grad: Tensor, workspace: Tensor, has_bias: bool) -> Any:
    r, z, n, hx, h = workspace.chunk(5, 1)
    gz, gn = grad * (hx - n) * (1 - z) * z, grad * (1 - z) * (1 - n * n)
    gr = gn * h * (1 - r) * r
    of_input, of_hidden = torch.cat([gr, gz, gn], 1), torch.cat([gr, gz, gn * r], 1)
    return of_input, of_hidden, grad * z, *((of_input.sum(0), of_hidden.sum(0)) if has_bias else (None, None))


def _lstm(gates: Tensor, hidden: Tensor, cx: Tensor, b1: Tensor | None = None, b2: Tensor | None = None) -> Any:
    gates, hidden = gates if b1 is None else gates + b1, hidden if b2 is None else hidden + b2
    i, f, g, o = (gates + hidden).chunk(4, 1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    cy = f * cx + i * g
    return o * cy.tanh(), cy, torch.cat([i, f, g, o], 1)


def _lstm_backward(
    grad_h: Tensor | None, grad_c: Tensor | None, cx: Tensor, cy: Tensor, workspace: Tensor, has_bias: bool
) -> Any:
    i, f, g, o = workspace.chunk(4, 1)
    t = cy.tanh()
    gh, gc = 0 * o if grad_h is None else grad_h, 0 * o if grad_c is None else grad_c
    go, gc = gh * t, gc + gh * o * (1 - t * t)
    gates = torch.cat([gc * g * i * (1 - i), gc * cx * f * (1 - f), gc * i * (1 - g * g), go * o * (1 - o)], 1)
    return gates, gc * f, gates.sum(0) if has_bias else None


# Fused cells, which torch has for CUDA alone.
STAND_INS: dict[str, Callable[..., Any]] = {
    "_thnn_fused_gru_cell": _gru,
    "_thnn_fused_gru_cell_backward": _gru_backward,
    "_thnn_fused_lstm_cell": _lstm,
    "_thnn_fused_lstm_cell_backward_impl": _lstm_backward,
}
