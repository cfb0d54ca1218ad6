"""Pickles of unknown content: looked at before anything in them is called."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

_ALLOWED = {
    "builtins": {"list", "dict", "set", "tuple", "int", "float", "complex", "slice", "range", "object"},
    "collections": {"defaultdict", "OrderedDict"},
    "_codecs": {"encode"},
    "copyreg": {"_reconstructor"},
    "numpy": {"ndarray", "dtype"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "scipy.sparse": {"csr_matrix", "coo_matrix", "csc_matrix"},
    "scipy.sparse.csr": {"csr_matrix"},
    "scipy.sparse.csc": {"csc_matrix"},
    "scipy.sparse.coo": {"coo_matrix"},
    "scipy.sparse._csr": {"csr_matrix"},
    "scipy.sparse._csc": {"csc_matrix"},
    "scipy.sparse._coo": {"coo_matrix"},
    "torch._utils": {"_rebuild_tensor_v2", "_rebuild_tensor"},
    "torch": {"FloatStorage", "DoubleStorage", "LongStorage", "IntStorage", "ByteStorage", "BoolStorage", "Size"},
}
# Python 2 names that pickle itself maps: __builtin__, copy_reg.
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}


class _Scanner(pickle.Unpickler):
    def __init__(self, file: io.BufferedReader, path: Path) -> None:
        super().__init__(file, encoding="latin1")
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        module = _RENAMED.get(module, module)
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return _load_storage
        if name not in _ALLOWED.get(module, ()):
            raise ValueError(
                f"{self._path} is a pickle that asks for {module}.{name}, which data have no need of; "
                "it was not loaded: do not trust this file"
            )
        return super().find_class(module, name)


def _load_storage(content: bytes) -> Any:
    return torch.load(io.BytesIO(content), weights_only=True)


def _check_torch_file(path: Path) -> None:
    try:
        torch.load(path, weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} asks for more than tensors and plain containers ({error}); it was not loaded: do not trust it"
        ) from None


def check_pickle(path: Path) -> None:
    """Make sure that a pickle or a ``torch.save`` file rebuilds nothing but plain containers, arrays and tensors.

    Args:
        path: The pickle.

    Raises:
        ValueError: If it asks for anything else, or is no pickle; nothing outside the allow-list is ever called.
    """
    if zipfile.is_zipfile(path):
        _check_torch_file(path)
        return
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old pickles name modules that numpy and scipy have renamed
        try:
            _Scanner(file, path).load()
        except (pickle.UnpicklingError, EOFError, AttributeError, ImportError) as error:
            raise ValueError(f"{path} is not a readable pickle ({error}); fetch it again") from None
