"""Kernels for CUDA, written in Triton: one file per operation. No tensor with a row per edge and channel is made.

Importing one of these files imports Triton, so :mod:`graphkit.ops` does it when an operation first needs a kernel.
"""
