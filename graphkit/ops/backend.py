r"""Forward kernels and the choice between them; the only file that imports ``torch_scatter``.

No function here knows about gradients: :mod:`graphkit.ops` puts its own autograd on top, so every backend has the same
first and second derivatives. The choice made by ``"auto"``:

=====================  =====================================================  ================================
operation              CPU                                                    CUDA
=====================  =====================================================  ================================
sparse times dense     CSR product (MKL; torch's own kernel without MKL) *    CSR product (cuSPARSE) †
the same, max and min  ``torch.sparse.mm(reduce=...)`` *                      Triton, else gather, then
                                                                              segment reduction
sampled product        ``torch.sparse.sampled_addmm`` *                       ``torch.sparse.sampled_addmm`` †
small blocks           CSR product of the expanded pattern                    Triton, else CSR product
gated mean             compiled kernels                                       Triton, else blocks of edges ‡
attention              compiled kernels                                       Triton for softmax, else
                                                                              blocks of edges ‡
segment sum, max, min  CSR product whose matrix is the grouping itself *      ``torch_scatter.segment_csr``,
                                                                              else as scatter
scatter sum, max, min  as segment when the index is sorted, else              ``torch_scatter.scatter``, else
                       ``index_add_`` / ``scatter_reduce_`` *                 ``index_add_``/``scatter_reduce_``
softmax                exponentials, then a sum and a gather *                the same
=====================  =====================================================  ================================

\* From a million numbers on, graphkit's own compiled kernels: products keep a row's sums in registers, they and sampled
ones prefetch, max and min remember which entry reaches an extreme, softmax stores no sums per row. Loading their
compiler would take longer than smaller operations do.

† Triton with ``use_backend("triton")``; elsewhere its kernels stand in where torch has none and would write a row per
edge. They compute in single precision or wider, add in a fixed order, and none has been timed on a GPU yet:
``python -m benchmarks.tiles`` does that.

‡ All edges at once where that takes no more than ``DEVICE_BLOCK`` numbers. Blocks are computed once more on the way
back.

On CPU every torch kernel named above was measured faster than its ``torch_scatter`` counterpart.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from graphkit.core.validate import check_choice

_TORCH_NAME = {"sum": "sum", "max": "amax", "min": "amin"}
_HAS_MKL = torch.backends.mkl.is_available()
BLOCK = 2**18  # numbers per block: about a megabyte
DEVICE_BLOCK = 2**26  # those of a GPU, whose kernels want many: a quarter of a gigabyte
LARGE = 2**20  # numbers read: from here on a compiled kernel is worth loading numba
_choice: contextvars.ContextVar[str] = contextvars.ContextVar("graphkit_backend", default="auto")

with warnings.catch_warnings():  # torch announces once per process that its CSR layout is in beta
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor(torch.tensor([0, 1]), torch.tensor([0]), torch.tensor([1.0]), (1, 1))


def available() -> dict[str, bool]:
    """Say which sparse backends this process can use.

    Example:
        >>> available()["torch"]
        True
    """
    return {
        "torch": True,
        "mkl": _HAS_MKL,
        "torch_scatter": _installed("torch_scatter"),
        "triton": _installed("triton"),
        "cuda": torch.cuda.is_available(),
    }


@functools.cache
def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


@contextlib.contextmanager
def use_backend(name: str) -> Iterator[None]:
    r"""Choose kernels inside a ``with`` block.

    Args:
        name: ``"torch"``, ``"torch_scatter"`` (for segment and scatter reductions), ``"triton"`` (for all other
            operations on CUDA, and on the CPU in Triton's interpreter, which ``TRITON_INTERPRET=1`` turns on) or
            ``"auto"`` (on CUDA what is installed of these, as in the table of :mod:`graphkit.ops.backend`).

    Raises:
        ValueError: If the name is unknown.
        ImportError: If ``"torch_scatter"`` or ``"triton"`` is asked for but not installed.

    Example:
        >>> with use_backend("torch"):
        ...     pass
    """
    check_choice(name, ("auto", "torch", "torch_scatter", "triton"), "backend")
    if name == "torch_scatter":
        _torch_scatter()
    if name == "triton" and not _installed("triton"):
        raise ImportError("the triton backend needs Triton; `pip install triton` or use the backend 'auto'")
    token = _choice.set(name)
    try:
        yield
    finally:
        _choice.reset(token)


@functools.cache
def _torch_scatter() -> ModuleType:
    try:
        import torch_scatter
    except ImportError as error:
        raise ImportError(
            "the torch_scatter backend needs torch-scatter; install it with "
            "`pip install --no-build-isolation torch-scatter` or use the backend 'auto'"
        ) from error
    return torch_scatter


def _uses_torch_scatter(x: Tensor) -> bool:
    choice = _choice.get()
    if choice == "auto":
        return x.is_cuda and _installed("torch_scatter")
    return choice == "torch_scatter"


def compiled(x: Tensor, numbers: int) -> bool:
    """Whether graphkit's own kernels, which numba compiles, are to compute something of ``x`` with so many numbers."""
    is_known = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
    return is_known and numbers >= LARGE and _choice.get() == "auto"


def fused(x: Tensor) -> bool:
    """Whether graphkit's Triton kernels are to compute something of ``x``."""
    if _choice.get() == "auto" and not (x.is_cuda and torch.cuda.is_available() and _installed("triton")):
        return False
    return _choice.get() in ("auto", "triton") and x.is_floating_point()


def _own_precision(kernel: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Run a kernel in the precision of its inputs: autocast would ask sparse kernels for types that they lack."""

    @functools.wraps(kernel)
    def run(matrix: Tensor, *arguments: Any) -> Tensor:
        device = arguments[0].device.type
        if not torch.is_autocast_enabled(device):
            return kernel(matrix, *arguments)
        with torch.autocast(device, enabled=False):
            return kernel(matrix, *arguments)

    return run


def csr_tensor(rowptr: Tensor, col: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """A torch CSR tensor without the checks that a valid structure does not need."""
    return torch.sparse_csr_tensor(rowptr, col, values, shape, check_invariants=False)


@_own_precision
def csr_mm(matrix: Tensor, x: Tensor) -> Tensor:
    """``matrix @ x`` for a CSR tensor and a dense ``[num_cols, F]``."""
    if matrix._nnz() == 0 or x.numel() == 0:
        return x.new_zeros(matrix.size(0), x.size(1))
    if _choice.get() == "triton":
        from graphkit.ops.triton import product

        return product.product(matrix.crow_indices(), matrix.col_indices(), matrix.values(), x)
    if x.is_cuda:
        return torch.mm(matrix, x)
    if compiled(x, matrix._nnz() * x.size(1)):
        from graphkit.ops import product_kernels

        return product_kernels.product(matrix.crow_indices(), matrix.col_indices(), matrix.values(), x)
    if _HAS_MKL and x.dtype in (torch.float32, torch.float64):  # torch.mm would fill and copy a matrix of zeros first
        return x.new_empty(matrix.size(0), x.size(1)).addmm_(matrix, x, beta=0)
    return torch.sparse.mm(matrix, x, reduce="sum")


@_own_precision
def csr_mm_reduce(matrix: Tensor, x: Tensor, reduce: str) -> Tensor:
    """Row-wise max or min of ``matrix[i, j] * x[j]`` (CPU only); empty rows give 0."""
    if matrix._nnz() == 0 or x.numel() == 0:
        return x.new_zeros(matrix.size(0), x.size(1))
    return torch.sparse.mm(matrix, x, reduce=_TORCH_NAME[reduce])


@_own_precision
def csr_sampled(pattern: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The values of ``a @ b.T`` at the positions of the CSR tensor ``pattern``, computed in float32 for half types."""
    if _choice.get() == "triton":
        from graphkit.ops.triton import product

        return product.sampled(pattern.crow_indices(), pattern.col_indices(), a, b)
    wide = torch.promote_types(a.dtype, torch.float32)
    if wide != a.dtype:
        return csr_sampled(pattern.to(wide), a.to(wide), b.to(wide)).to(a.dtype)
    if a.device.type == "cpu" and pattern._nnz() * a.size(1) >= LARGE:
        from graphkit.ops import kernels

        return kernels.sampled(pattern.crow_indices(), pattern.col_indices(), a, b)
    return torch.sparse.sampled_addmm(pattern, a, b.t(), beta=0.0).values()


def segment(src: Tensor, ptr: Tensor, reduce: str) -> Tensor:
    """Reduce the rows ``ptr[i]:ptr[i + 1]`` of ``src [E, F]`` by sum, max or min; empty groups give 0."""
    size, length = ptr.numel() - 1, src.size(0)
    if src.numel() == 0:
        return src.new_zeros(size, src.size(1))
    if _uses_torch_scatter(src):
        return _torch_scatter().segment_csr(src, ptr, reduce=reduce)
    if src.is_cuda or not src.is_floating_point() or length >= 2**31:
        return scatter(src, torch.arange(size, device=ptr.device).repeat_interleave(ptr.diff()), size, reduce)
    positions = torch.arange(length, dtype=torch.int32)
    grouping = csr_tensor(ptr.int(), positions, src.new_ones(length), (size, length))
    return csr_mm(grouping, src) if reduce == "sum" else csr_mm_reduce(grouping, src, reduce)


def scatter(src: Tensor, index: Tensor, size: int, reduce: str) -> Tensor:
    """Reduce the rows of ``src [E, F]`` that share an ``index`` by sum, max or min; empty groups give 0."""
    if src.numel() == 0:
        return src.new_zeros(size, src.size(1))
    if _uses_torch_scatter(src):
        return _torch_scatter().scatter(src, index, 0, dim_size=size, reduce=reduce)
    out = src.new_zeros(size, src.size(1))
    if reduce == "sum":
        return out.index_add_(0, index, src)
    return out.scatter_reduce_(0, index.unsqueeze(1).expand_as(src), src, _TORCH_NAME[reduce], include_self=False)
