"""Compile all of Triton's kernels for GPUs that need not be there: ``python -m tests.ops.compile_triton``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from graphkit.ops import backend


def compile_for(architecture):
    """The names of the kernels that one call of each operation, forward and back, starts."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.runtime.jit import JITFunction

    from benchmarks.tiles import operations

    compiled = set()

    def compile_only(kernel, grid):
        def run(*arguments, **options):
            assert kernel.warmup(*arguments, grid=grid, **options).asm["cubin"]
            compiled.add(kernel.__name__)

        return run

    JITFunction.__getitem__ = compile_only
    target: Any = GPUTarget("cuda", architecture, 32)
    driver = SimpleNamespace(
        get_current_device=lambda: architecture,
        get_current_stream=lambda device: 0,
        get_current_target=lambda: target,
    )
    triton.runtime.driver.set_active(driver)
    edges = torch.tensor([[0, 1, 2, 2], [1, 1, 0, 1]])
    with backend.use_backend("triton"):
        for function, inputs in operations(edges, (3, 3), 5, torch.float32).values():
            function(*(x.requires_grad_() for x in inputs)).sum().backward()
    return compiled


if __name__ == "__main__":
    for architecture in (80, 90):
        print(architecture, *sorted(compile_for(architecture)))
