"""How the hidden state at the end of a step becomes its score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from stepscore.errors import InputError
from stepscore.recipes.layouts.choice import chosen
from stepscore.recipes.layouts.encoding import encode_text
from stepscore.recipes.layouts.vocabulary import expect_known, expect_published
from stepscore.recipes.recipe import Activation, Head, Layer, Reading, Readout, Tokenizer


def softmax_of_classes(*layers: str, classes: int, good: int) -> Readout:
    r"""Read one class of a head: :math:`r = \mathrm{softmax}(\mathrm{head}(h))_{good}`.

    Args:
        layers: the modules of the head in the checkpoint, each with a weight and a bias; between
            several of them stands a ReLU.
        classes: outputs of the last one.
        good: the class that is the score.
    """
    kind: Literal["affine", "mlp"] = "affine" if len(layers) == 1 else "mlp"
    head = Head(kind, tuple(map(_with_bias, layers)), classes)
    return Readout(head, (softmax_column("score", good, classes),))


def difference_of_classes(*layers: str) -> Readout:
    r"""Read two classes of a head: :math:`r = p_1 - p_0,\; p = \mathrm{softmax}(\mathrm{head}(h))`.

    Args:
        layers: as in `softmax_of_classes`.
    """
    head = softmax_of_classes(*layers, classes=2, good=1).head
    return Readout(head, (Reading("score", "softmax", (-1.0, 1.0), (-1.0, 1.0)),))


def validity_and_redundancy(layer: str, bias: str = "yes") -> Readout:
    r"""Read three classes of a step: validity :math:`p_1 + p_2`, redundancy :math:`p_1`.

    The classes are negative, neutral and positive. Of the redundancy the lower is the better.

    Args:
        layer: the module of the three outputs in the checkpoint.
        bias: whether it has one, ``yes`` or ``no``.

    Raises:
        ValueError: another answer.
    """
    make = chosen("bias", bias, {"yes": _with_bias, "no": _without_bias})
    validity = Reading("validity", "softmax", (0.0, 1.0, 1.0))
    redundancy = Reading("redundancy", "softmax", (0.0, 1.0, 0.0), higher_is_better=False)
    return Readout(Head("affine", (make(layer),), 3), (validity, redundancy))


def mean_and_concentration(layer: str) -> Readout:
    r"""Read a belief of success: mean :math:`\sigma(z_0)`, concentration :math:`\ln(1 + e^{z_1})`.

    Args:
        layer: the module of the two outputs in the checkpoint.
    """
    mean = Reading("mean", "sigmoid", (1.0, 0.0))
    concentration = Reading("concentration", "softplus", (0.0, 1.0), _RANGES["softplus"])
    return Readout(Head("affine", (_with_bias(layer),), 2), (mean, concentration))


def sigmoid_of_value(layer: str) -> Readout:
    r"""Read a value head: :math:`r = \sigma(w \cdot h + b)`.

    Args:
        layer: its module in the checkpoint.
    """
    return value_of(layer, activation="sigmoid")


_RANGES: dict[Activation, tuple[float, float]] = {
    "identity": (-np.inf, np.inf),
    "sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softplus": (0.0, np.inf),
}


def value_of(*layers: str, activation: Activation = "identity", bias: bool = True) -> Readout:
    r"""Read a head with one output: :math:`r = a(\mathrm{head}(h))`.

    Args:
        layers: its modules in the checkpoint; between several of them stands a ReLU.
        activation: :math:`a`; without one the scores are all real numbers, and no probabilities.
        bias: whether the modules have one.

    Raises:
        ValueError: another activation.
    """
    if not isinstance(activation, str) or activation not in _RANGES:
        raise InputError(
            " or ".join(f'"{name}"' for name in _RANGES),
            got=repr(activation),
            argument="activation",
        )
    kind: Literal["affine", "mlp"] = "affine" if len(layers) == 1 else "mlp"
    head = Head(kind, tuple(map(_with_bias if bias else _without_bias, layers)), 1)
    return Readout(head, (Reading("score", activation, (1.0,), _RANGES[activation]),))


def softmax_of_words(
    words: str, *, good: int, published: Mapping[str, tuple[int, ...]] | None = None
) -> Readout:
    r"""Read rows of the output matrix: :math:`r = \mathrm{softmax}(w_1 h,\; w_2 h)_{good}`.

    Args:
        words: two words in one text, encoded behind BOS; no other row of the matrix is loaded.
        good: the word that is the score.
        published: published vocabulary -> the words' ids in it.
    """
    pair = WordPair(words, published or {})
    head = Head("lm_rows", (Layer("lm_head.weight"),), 2, word_ids=pair.ids)
    readings = (softmax_column("score", good, 2),)
    return Readout(head, readings, check_tokenizer=pair.check_tokenizer)


def softmax_column(name: str, column: int, outputs: int) -> Reading:
    """Read one of several classes by its probability."""
    return Reading(name, "softmax", tuple(float(i == column) for i in range(outputs)))


@dataclass(frozen=True)
class WordPair:
    """Two words of one text, which is encoded behind BOS.

    Attributes:
        text: the words.
        published: published vocabulary -> their ids in it.
    """

    text: str
    published: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def ids(self, tokenizer: Tokenizer) -> tuple[int, ...]:
        """Give the ids of the words: those after BOS."""
        return tuple(encode_text(tokenizer, self.text, special_tokens=True)[1:])

    def check_tokenizer(self, recipe: str, tokenizer: Tokenizer) -> None:
        """Refuse a tokenizer without BOS in front, or one in which they are not two tokens."""
        ids = encode_text(tokenizer, self.text, special_tokens=True)
        if tokenizer.bos_token_id is None or ids[:1] != [tokenizer.bos_token_id]:
            raise InputError(
                "a tokenizer that puts its BOS token first in every encoding, because the words "
                "are read after it",
                got=f"the ids {ids} for {self.text!r}, where BOS is {tokenizer.bos_token_id}",
                advice="set add_bos_token in tokenizer_config.json, or use the tokenizer published "
                "with the model",
                where=recipe,
            )
        words = tuple(ids[1:])
        what = f"the words of {self.text!r}"
        expect_published(recipe, tokenizer, what, words, self.published)
        expect_known(recipe, tokenizer, what, words)
        if len(words) != 2 or words[0] == words[1]:
            raise InputError(
                f"{self.text!r} to be two different tokens after BOS, one per word",
                got=str(list(words)),
                advice="use the tokenizer that the model was trained with",
                where=recipe,
            )


def _without_bias(layer: str) -> Layer:
    return Layer(f"{layer}.weight")


def _with_bias(layer: str) -> Layer:
    return Layer(f"{layer}.weight", f"{layer}.bias")
