"""The heads and readings that a description may have."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from stepscore.errors import InputError
from stepscore.recipes.layouts.encoding import encode_text
from stepscore.recipes.layouts.vocabulary import expect_known
from stepscore.recipes.recipe import Activation, Head, Layer, Reading, Readout, Tokenizer
from stepscore.recipes.user_defined_fields import (
    Field,
    Place,
    choice,
    flag,
    numbers,
    read_fields,
    some_text,
    texts,
    whole,
)

_Token = Literal["only", "first", "last"]


@dataclass(frozen=True)
class Words:
    """Words whose rows of the output matrix are read, each encoded alone.

    Attributes:
        words: the texts.
        token: which token of a word is read: its ``only`` one, the ``first`` or the ``last``.
    """

    words: tuple[str, ...]
    token: _Token = "only"

    def ids(self, tokenizer: Tokenizer) -> tuple[int, ...]:
        """Give the id of each word."""
        place = 0 if self.token == "first" else -1
        return tuple(encode_text(tokenizer, word)[place] for word in self.words)

    def check_tokenizer(self, recipe: str, tokenizer: Tokenizer) -> None:
        """Refuse a tokenizer in which a word is several tokens, or two words are one."""
        for word in self.words:
            ids = encode_text(tokenizer, word)
            expect_known(recipe, tokenizer, f"the word {word!r}", ids)
            if self.token == "only" and len(ids) != 1:
                raise InputError(
                    f"the word {word!r} to be one token",
                    got=f"the ids {ids}",
                    advice="say with token: first, or token: last, which of them is read",
                    where=recipe,
                )
        chosen = self.ids(tokenizer)
        if len(set(chosen)) != len(chosen):
            raise InputError(
                f"words with tokens of their own ({', '.join(map(repr, self.words))})",
                got=f"the ids {list(chosen)}",
                advice="read the token of each in which they differ",
                where=recipe,
            )


_LAYERS = {
    "layers": Field(texts, "the modules of the head in the checkpoint, such as [score]"),
    "outputs": Field(whole, "how many numbers the last of them gives"),
    "bias": Field(flag, "whether they have a bias", True),
}
_WORDS = {
    "words": Field(texts, "the words whose rows of the output matrix are read"),
    "token": Field(choice(*get_args(_Token)), "which token of a word is read", "only"),
}


def _layers(place: Place, given: Any) -> Readout:
    values = read_fields(place, given, _LAYERS, "a head of layers")
    names, outputs = values["layers"], values["outputs"]
    if not names or len(set(names)) != len(names):
        raise place.at("layers").fault("one module or several different ones", repr(list(names)))
    if not outputs:
        raise place.at("outputs").fault("at least 1", "0")
    layers = tuple(
        Layer(f"{name}.weight", f"{name}.bias" if values["bias"] else None) for name in names
    )
    return Readout(Head("affine" if len(layers) == 1 else "mlp", layers, outputs), ())


def _words(place: Place, given: Any) -> Readout:
    values = read_fields(place, given, _WORDS, "a head of words")
    if len(values["words"]) < 2 or len(set(values["words"])) != len(values["words"]):
        raise place.at("words").fault(
            "at least two different words", repr(list(values["words"])), "such as ['+', '-']"
        )
    words = Words(values["words"], values["token"])
    head = Head("lm_rows", (Layer("lm_head.weight"),), len(words.words), word_ids=words.ids)
    return Readout(head, (), check_tokenizer=words.check_tokenizer)


# The field that tells a head from the others -> how it is read.
HEADS: dict[str, Callable[[Place, Any], Readout]] = {"layers": _layers, "words": _words}


def read_head(place: Place, given: Any) -> Readout:
    """Read a head; its readings stand elsewhere."""
    if not isinstance(given, Mapping):
        raise place.fault(
            f"a head with one of the fields {', '.join(HEADS)}",
            type(given).__name__,
            "such as {layers: [score], outputs: 2}",
        )
    kinds = [kind for kind in HEADS if kind in given]
    if len(kinds) > 1:
        raise place.fault(f"one of the fields {', '.join(HEADS)}", " and ".join(kinds))
    # Without any, a typo: the fields of the first are listed, beside the name that was meant.
    if not kinds:
        fields = {**_LAYERS, **_WORDS}
        read_fields(
            place,
            {n: v for n, v in given.items() if n not in fields},
            {name: Field(field.read, field.what, None) for name, field in fields.items()},
            "a head",
        )
        raise place.fault(
            f"a head with one of the fields {', '.join(HEADS)}",
            repr(dict(given)),
            "such as {layers: [score], outputs: 2}",
        )
    return HEADS[kinds[0]](place, given)


_READING = {
    "name": Field(some_text, "what it measures", None),
    "activation": Field(choice(*get_args(Activation)), f"one of {', '.join(get_args(Activation))}"),
    "output": Field(whole, "the output that is read, from 0", None),
    "weights": Field(numbers, "a weight for every output", None),
    "range": Field(numbers, "the least and the greatest value", None),
    "higher_is_better": Field(flag, "whether a step is better the higher it is", True),
}
_RANGES = {
    "identity": (-math.inf, math.inf),
    "sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softplus": (0.0, math.inf),
}


def read_readings(outputs: int) -> Callable[[Place, Any], tuple[Reading, ...]]:
    """Read the readings of a head with so many outputs."""

    def read(place: Place, given: Any) -> tuple[Reading, ...]:
        if isinstance(given, (str, Mapping)) or not isinstance(given, Sequence) or not given:
            raise place.fault(
                "a list of readings, the first of them the score",
                repr(given),
                "such as [{activation: softmax, output: 1}]",
            )
        readings = [_reading(place.at(i), item, i, outputs) for i, item in enumerate(given)]
        names = [reading.name for reading in readings]
        if len(set(names)) != len(names):
            raise place.fault("a name of its own for each", repr(names))
        return tuple(readings)

    return read


def _reading(place: Place, given: Any, index: int, outputs: int) -> Reading:
    values = read_fields(place, given, _READING, "a reading")
    name, activation = values["name"], values["activation"]
    if name is None:
        if index:
            raise place.at("name").fault(_READING["name"].what, "no such field", "add it")
        name = "score"
    if activation == "softmax" and outputs == 1:
        raise place.at("activation").fault(
            "another one than softmax, which is 1 for every step of a head with one output",
            "'softmax'",
            "write sigmoid, if the head was trained so",
        )
    weights = _weights(place, values, outputs)
    low_and_high = _range(weights, activation) if values["range"] is None else values["range"]
    if len(low_and_high) != 2 or not low_and_high[0] < low_and_high[1]:
        raise place.at("range").fault(
            "two numbers, the least and the greatest value", repr(list(low_and_high))
        )
    low, high = low_and_high
    least, most = _range(weights, activation)
    if math.isfinite(most - least) and not low <= least < most <= high:
        raise place.at("range").fault(
            f"a range that holds [{least:g}, {most:g}], which {activation} gives",
            repr(list(low_and_high)),
            "leave it out",
        )
    return Reading(name, activation, weights, (low, high), values["higher_is_better"])


def _weights(place: Place, values: Mapping[str, Any], outputs: int) -> tuple[float, ...]:
    output, weights = values["output"], values["weights"]
    if (output is None) == (weights is None):
        if outputs == 1 and output is None:
            return (1.0,)
        raise place.fault(
            f"output, which is read alone, or weights, one for each of the {outputs} outputs",
            "neither" if output is None else "both",
        )
    if weights is None:
        if output >= outputs:
            raise place.at("output").fault(f"less than the {outputs} outputs", str(output))
        return tuple(float(column == output) for column in range(outputs))
    if len(weights) != outputs or not any(weights) or not all(map(math.isfinite, weights)):
        raise place.at("weights").fault(
            f"one finite number for each of the {outputs} outputs, not all 0", repr(list(weights))
        )
    return tuple(weights)


def _range(weights: tuple[float, ...], activation: str) -> tuple[float, float]:
    """Give the least and the greatest value of a weighted sum."""
    if activation == "softmax":  # the outputs add up to 1
        return min(weights), max(weights)
    low, high = _RANGES[activation]
    ends = [(w * low, w * high) if w > 0 else (w * high, w * low) for w in weights if w]
    return sum(low for low, _ in ends), sum(high for _, high in ends)
