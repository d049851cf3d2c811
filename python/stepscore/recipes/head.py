"""What maps a hidden state to numbers, by the names of its tensors in a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from stepscore.errors import InputError, InputTypeError
from stepscore.recipes.likelihood import Likelihood

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    r"""One linear layer of a head: the names of its tensors in the checkpoint.

    :math:`y = W (g\,x + s) + b`, where the scalars :math:`g` and :math:`s` are 1 and 0 for most.

    Attributes:
        weight: :math:`W`.
        bias: :math:`b`, one number per row; None has none.
        gain: :math:`g`, a tensor of one number.
        shift: :math:`s`, likewise.
        file: the file beside the weights that holds them, as ``torch.save`` wrote it. A tensor
            ``0.weight`` of ``score_module.pt`` is called ``score_module.0.weight``, also in the
            weights themselves once the checkpoint was converted.
        widening: of a layer that another one follows, its rows in multiples of H.
    """

    weight: str
    bias: str | None = None
    gain: str | None = None
    shift: str | None = None
    file: str | None = None
    widening: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """The tensors that it is read from."""
        every = (self.weight, self.bias, self.gain, self.shift)
        return tuple(name for name in every if name is not None)


HeadKind = Literal["affine", "mlp", "lm_rows", "vocabulary", "next_tokens"]
# The hidden state behind the last layer and the final norm, or that before the last layer.
HiddenLayer = Literal[-1, -2]


@dataclass(frozen=True)
class Head:
    """What maps a hidden state to ``outputs`` numbers, and where its weights stand.

    affine: layers of the same hidden state, whose rows stand below each other, ``[outputs, H]`` in
    all;  mlp: layers with a ReLU between them, each ``[widening * H, ...]`` but for the last, which
    is ``[outputs, ...]``;  lm_rows: the rows ``word_ids(tokenizer)`` of the language model's own
    output matrix, which is the embedding matrix where the two are tied;  vocabulary: a layer
    ``[outputs, V]`` over all logits, behind the output matrix, which is the first layer; without
    one, the mean of all logits. It is multiplied out: :math:`W = U W_{lm}`;  next_tokens: all rows
    of the output matrix, for the `Likelihood` of every token.

    ``hidden_layer`` says which hidden state it reads: -1 is the last, behind the final norm, and
    -2 what comes out of the layer before the last, as ``output_hidden_states`` counts.
    """

    kind: HeadKind
    layers: tuple[Layer, ...]
    outputs: int
    word_ids: Callable[[Any], tuple[int, ...]] | None = field(default=None, repr=False)
    hidden_layer: HiddenLayer = -1
    likelihood: Likelihood | None = None

    @property
    def depth(self) -> int:
        """How many matrices a hidden state goes through."""
        return len(self.layers) if self.kind == "mlp" else 1

    @property
    def files(self) -> tuple[str, ...]:
        """The files beside the weights that it is read from."""
        return tuple(dict.fromkeys(layer.file for layer in self.layers if layer.file is not None))

    @property
    def reads_output_matrix(self) -> bool:
        """Whether its first layer is the language model's output matrix."""
        return self.kind in ("lm_rows", "vocabulary", "next_tokens")


def head_fault(head: Head, shapes: Mapping[str, Shape], hidden_size: int) -> InputError | None:
    """Say how a checkpoint's tensors differ from what a head needs, or give None.

    The output matrix of a language model, which may be its embeddings, is not looked at.
    """
    for key, shape in _expected(head, shapes, hidden_size):
        if key not in shapes:
            expected = f"a tensor {key!r} of shape {list(shape)}"
            return InputError(expected, got=f"none{_instead(head, key, shapes)}")
        # A number is stored as [] or as [1].
        if tuple(shapes[key]) != shape and not shape == (1,) == (*shapes[key], 1):
            return InputError(f"{key!r} of shape {list(shape)}", got=str(list(shapes[key])))
    if head.kind == "affine":
        rows = sum(int(shapes[layer.weight][0]) for layer in head.layers)
        if rows != head.outputs:
            return InputError(f"{head.outputs} rows in the head", got=str(rows))
    return None


def _expected(
    head: Head, shapes: Mapping[str, Shape], hidden_size: int
) -> Iterator[tuple[str, Shape]]:
    """Give the name and the shape of every tensor that a head is read from."""
    columns = hidden_size
    layers = head.layers[1:] if head.reads_output_matrix else head.layers
    for number, layer in enumerate(layers, 1):
        rows = head.outputs
        if head.kind == "mlp" and number < len(layers):
            rows = layer.widening * hidden_size
        elif head.kind == "affine" and len(layers) > 1:
            # How many of the rows are this layer's only the file knows.
            rows = (shapes.get(layer.weight) or (1,))[0]
        elif head.kind == "vocabulary":
            columns = (shapes.get(head.layers[0].weight) or (0,))[0]
            columns = columns or (shapes.get(layer.weight) or (0, 0))[-1]
        yield layer.weight, (rows, columns)
        if layer.bias is not None:
            yield layer.bias, (rows,)
        for scalar in (layer.gain, layer.shift):
            if scalar is not None:
                yield scalar, (1,)
        if head.kind == "mlp":
            columns = rows


def _instead(head: Head, key: str, shapes: Mapping[str, Shape]) -> str:
    """Name what a side file holds instead of a tensor."""
    [file] = [layer.file for layer in head.layers if key in layer.names]
    if file is None:
        return ""
    stem = side_prefix(file)
    there = [name.removeprefix(stem) for name in shapes if name.startswith(stem)]
    held = f"a file that holds {', '.join(sorted(there)[:5])}" if there else "no such file"
    return f" ({file}: {held})"


def side_prefix(file: str) -> str:
    """Give what stands in front of the names of a side file's tensors."""
    if not isinstance(file, str):
        raise InputTypeError("a text", got=repr(file), argument="file")
    return f"{file.rpartition('.')[0] or file}."
