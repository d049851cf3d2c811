"""The tensors of a weight file: safetensors, or a pickle of which nothing is executed."""

from __future__ import annotations

import math
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open

from stepscore.errors import InputError, Words
from stepscore.scoring.forward.engine import out_of_memory

# The first whose weights_only=True executes nothing (CVE-2025-32434); transformers asks for it too.
_SAFE_TORCH = (2, 6)
_FORBIDDEN = re.compile(r"GLOBAL (\S+)")
_LFS_POINTER = b"version https://git-lfs"
_FETCH_AGAIN = "fetch the file again"


class StoredTensors(Protocol):
    """What a weight file holds."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of every tensor, without reading any."""
        ...

    @property
    def number_formats(self) -> Mapping[str, str]:
        """The number format of every tensor, as the file calls it, without reading any."""
        ...

    def tensor(self, key: str) -> torch.Tensor:
        """Read one tensor as it is stored."""
        ...

    def rows(self, key: str, rows: Sequence[int]) -> torch.Tensor:
        """Read some rows of a tensor, and no other."""
        ...

    def bytes_of(self, key: str) -> int:
        """Say how large a tensor is, without reading it."""
        ...


def stored_tensors(path: Path) -> StoredTensors:
    """Open a weight file by its suffix: safetensors, or else what torch.save wrote.

    Raises:
        ValueError: a file that is cut short or of another format; a pickle that needs more than
            tensors.
    """
    refuse_pointer(path)
    return SafetensorsFile(path) if path.suffix == ".safetensors" else PickledFile(path)


def refuse_pointer(path: Path) -> None:
    """Refuse the few lines that Git LFS leaves where it has not fetched the file.

    Raises:
        ValueError: such a file.
    """
    with path.open("rb") as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise InputError(
                f"the file {path}",
                got="a pointer of Git LFS to it, a few lines of text",
                advice=f"fetch it with: git -C {path.parent} lfs pull",
                where="load",
            )


class SafetensorsFile:
    """A file of the safetensors library."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of every tensor, from the file's header."""
        with self._open() as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118

    @property
    def number_formats(self) -> Mapping[str, str]:
        """The number format of every tensor, from the file's header."""
        with self._open() as file:
            return {key: str(file.get_slice(key).get_dtype()) for key in file.keys()}  # noqa: SIM118

    def tensor(self, key: str) -> torch.Tensor:
        """Read one tensor as it is stored."""
        with self._open() as file:
            tensor: torch.Tensor = file.get_tensor(key)
        return tensor

    def rows(self, key: str, rows: Sequence[int]) -> torch.Tensor:
        """Read some rows of a tensor, and no other."""
        with self._open() as file:
            matrix = file.get_slice(key)
            if isinstance(rows, range) and rows.step == 1:
                run: torch.Tensor = matrix[rows.start : rows.stop]
                return run
            return torch.cat([matrix[row : row + 1] for row in rows])

    def bytes_of(self, key: str) -> int:
        """Say how large a tensor is, without reading it."""
        with self._open() as file:
            bits = re.search(r"\d+", file.get_slice(key).get_dtype())
        return math.prod(self.shapes[key]) * (int(bits[0]) if bits else 8) // 8

    @contextmanager
    def _open(self) -> Iterator[Any]:
        try:
            with safe_open(self._path, framework="pt") as file:
                yield file
        except SafetensorError as error:
            raise InputError(
                f"a whole safetensors file at {self._path}",
                got=f"{self._path.stat().st_size} bytes, of which safetensors says: {error}",
                advice=_FETCH_AGAIN,
                where="load",
            ) from error


class PickledFile:
    """What ``torch.save`` wrote: tensors by name, read with ``torch.load(weights_only=True)``.

    A pickle can name functions to call. Here none is called: a file that names one is refused.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of every tensor; the numbers stay on the disk."""
        return {key: tuple(tensor.shape) for key, tensor in self._tensors.items()}

    @property
    def number_formats(self) -> Mapping[str, str]:
        """The number format of every tensor; the numbers stay on the disk."""
        return {
            key: str(tensor.dtype).removeprefix("torch.") for key, tensor in self._tensors.items()
        }

    def tensor(self, key: str) -> torch.Tensor:
        """Read one tensor as it is stored."""
        return self._tensors[key]

    def rows(self, key: str, rows: Sequence[int]) -> torch.Tensor:
        """Read some rows of a tensor, and no other."""
        if isinstance(rows, range) and rows.step == 1:
            return self._tensors[key][rows.start : rows.stop]
        return self._tensors[key][list(rows)]

    def bytes_of(self, key: str) -> int:
        """Say how large a tensor is, without reading it."""
        return self._tensors[key].nbytes

    @cached_property
    def _tensors(self) -> dict[str, torch.Tensor]:
        version = re.match(r"(\d+)\.(\d+)", torch.__version__)
        assert version is not None
        if tuple(map(int, version.groups())) < _SAFE_TORCH:
            raise self._refusal(
                "torch 2.6 or newer, whose weights_only=True executes nothing",
                got=f"torch {torch.__version__}",
                advice="upgrade torch, or write safetensors where it is newer, with: stepscore "
                "convert-checkpoint FOLDER OUT",
            )
        try:
            # Only the format since torch 1.6, a zip file, can stay on the disk.
            mapped = zipfile.is_zipfile(self._path)
            content = torch.load(self._path, map_location="cpu", weights_only=True, mmap=mapped)
        except Exception as error:  # a damaged pickle raises what its bytes happen to ask for
            if out_of_memory(error):
                raise
            raise self._unreadable(error) from error
        return self._checked(content)

    def _unreadable(self, error: Exception) -> InputError:
        # torch wraps its reason into how to execute the file all the same.
        reason = error.__context__ if isinstance(error, pickle.UnpicklingError) else None
        text = next(iter(str(reason or error).splitlines()), "")
        forbidden = _FORBIDDEN.search(text)
        if forbidden is not None:
            return self._refusal(
                "tensors by name and nothing else, because nothing in a pickle is executed "
                "(torch.load with weights_only=True)",
                got=f"a file that asks for {forbidden[1]}",
                advice="use a copy of the checkpoint as safetensors, or one that holds the "
                "weights alone",
            )
        return self._refusal(
            "a whole file that torch.save wrote",
            got=f"{self._path.stat().st_size} bytes, of which torch says: "
            f"{type(error).__name__}: {text}",
            advice=_FETCH_AGAIN,
        )

    def _checked(self, content: object) -> dict[str, torch.Tensor]:
        if isinstance(content, dict):
            others = [
                f"{key!r} ({type(value).__name__})"
                for key, value in content.items()
                if not (isinstance(key, str) and isinstance(value, torch.Tensor))
            ]
            if not others:
                return content
            got = f"{', '.join(others[:5])}{', ...' if len(others) > 5 else ''}"
        else:
            got = f"a {type(content).__name__}"
        raise self._refusal(
            "tensors by name, as save_pretrained writes them",
            got=got,
            advice="save the model's state_dict() alone",
        )

    def _refusal(self, expected: str, *, got: str, advice: Words) -> InputError:
        return InputError(f"{expected}, in {self._path}", got=got, advice=advice, where="load")
