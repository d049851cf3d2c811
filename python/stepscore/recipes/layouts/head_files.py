"""Heads in files beside the weights, and heads over all logits."""

from __future__ import annotations

import math

from stepscore.recipes.head import Head, HiddenLayer, Layer, side_prefix
from stepscore.recipes.layouts.readouts import softmax_column
from stepscore.recipes.recipe import Activation, Reading, Readout


def value_in_file(
    file: str,
    *modules: str,
    activation: Activation = "sigmoid",
    widening: int = 1,
    hidden_layer: HiddenLayer = -1,
) -> Readout:
    r"""Read a value head that has a file of its own: :math:`r = a(\mathrm{head}(h))`.

    Args:
        file: as ``torch.save`` wrote the module's ``state_dict()``.
        modules: the linear modules in it, each with a bias, with a ReLU between them; none where
            the file holds one linear module itself.
        activation: :math:`a`.
        widening: the outputs of the modules but the last, in multiples of H.
        hidden_layer: as in `Head`.
    """
    names = [f"{side_prefix(file)}{module}." for module in modules] or [side_prefix(file)]
    layers = tuple(
        Layer(f"{name}weight", f"{name}bias", file=file, widening=widening) for name in names
    )
    head = Head("affine" if len(layers) == 1 else "mlp", layers, 1, hidden_layer=hidden_layer)
    return Readout(head, (value_reading("score", activation, (1.0,)),))


def value_of_logits(
    module: str | None = None, file: str | None = None, *, activation: Activation = "sigmoid"
) -> Readout:
    r"""Read all logits: :math:`r = a(u \cdot W_{lm} h + c)`, or their mean without a module.

    The mean is over all rows of the output matrix, also of those that no token has.

    Args:
        module: the linear module over the logits, :math:`u` and :math:`c`, among the weights.
        file: holds it instead, as ``torch.save`` wrote its ``state_dict()``.
        activation: :math:`a`.
    """
    layers = [Layer("lm_head.weight")]
    if module is not None:
        stem = f"{module}." if file is None else side_prefix(file)
        layers.append(Layer(f"{stem}weight", f"{stem}bias", file=file))
    head = Head("vocabulary", tuple(layers), 1)
    return Readout(head, (value_reading("score", activation, (1.0,)),))


def value_reading(name: str, activation: Activation, weights: tuple[float, ...]) -> Reading:
    """Read one number, in the range that its activation gives it."""
    ranges = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "softplus": (0.0, math.inf)}
    return Reading(name, activation, weights, ranges.get(activation, (-math.inf, math.inf)))


def scaled_values(file: str, score: str, *names: str) -> Readout:
    r"""Read values of a scaled hidden state: :math:`z = w \cdot (g h + s)`, all from one file.

    Args:
        file: holds ``NAME_vscore_head.weight``, ``NAME_gain`` and ``NAME_bias`` (:math:`s`).
        score: the name that is the score; the others, and it once more, are read beside it.
        names: of all values.
    """
    stem = side_prefix(file)
    layers = tuple(
        Layer(
            f"{stem}{name}_vscore_head.weight",
            gain=f"{stem}{name}_gain",
            shift=f"{stem}{name}_bias",
            file=file,
        )
        for name in names
    )
    columns = {name: tuple(float(name == each) for each in names) for name in names}
    readings = {"score": columns[score], **columns}
    return Readout(
        Head("affine", layers, len(names)),
        tuple(value_reading(name, "identity", weights) for name, weights in readings.items()),
    )


def success_of_classes(*modules: str, classes: int) -> Readout:
    r"""Read a head without biases: :math:`\mathrm{softmax}(z)_1`, and :math:`\sigma(z)` of one.

    Args:
        modules: of the head in the checkpoint, with a ReLU between them.
        classes: outputs of the last one.
    """
    head = Head("mlp", tuple(Layer(f"{module}.weight") for module in modules), classes)
    if classes == 1:
        return Readout(head, (value_reading("score", "sigmoid", (1.0,)),))
    return Readout(head, (softmax_column("score", 1, classes),))
