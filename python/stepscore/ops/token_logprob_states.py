"""Products of hidden states with blocks of an output matrix, taken in one after the other."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stepscore import _core
from stepscore.arrays import Call

# Blocks of the vocabulary that are multiples of it change no bit of what is read from them.
CHUNK = _core.LOGIT_CHUNK


class TokenLogprob(NamedTuple):
    """What `token_logprob` found, ``[n]`` each; None for what was not asked for.

    Attributes:
        logprob: log-probability of the target, float32; NaN for a row without one.
        entropy: of the distribution over the vocabulary, in nats, float32.
        top_logprob: the highest log-probability, float32.
        top_token: the token that has it, the first of several, int64; -1 for a row with a NaN.
        log_sum_exp: :math:`\\log \\sum_v e^{z_v}`, float32: with it a log-probability is a logit.
    """

    logprob: Any
    entropy: Any = None
    top_logprob: Any = None
    top_token: Any = None
    log_sum_exp: Any = None


class LogitForm(NamedTuple):
    """How a product becomes a logit: ``inner * p``, or ``outer * tanh(inner * p)``."""

    inner: float = 1.0
    outer: float = 1.0
    capped: bool = False


class TokenStates:
    """What each row has seen of the vocabulary so far; the core updates it block after block.

    Attributes:
        vocabulary: targets are below.
        ignore_index: the id of a row without a target; None for none.
    """

    def __init__(
        self,
        call: Call,
        targets: Any,
        *,
        vocabulary: int,
        ignore_index: int | None = None,
        form: LogitForm | None = None,
    ) -> None:
        self._call, self._form = call, form or LogitForm()
        self._targets = targets
        self._rows = int(targets.shape[0])
        self._states = call.empty((self._rows, _core.TOKEN_STATE_WIDTH), "float64")
        self.vocabulary, self.ignore_index = vocabulary, ignore_index

    def add(self, products: Any, rows: slice, first: int, bias: Any = None) -> None:
        """Take in the products of some rows with the output matrix from its row `first` on.

        Args:
            products: ``[rows, columns]``, float32, float16 or bfloat16.
            rows: which rows they are.
            first: 0 begins these rows anew.
            bias: float32 ``[columns]``, or None.

        Raises:
            ValueError: at the first block of a row, a target that is no id of the vocabulary.
        """
        call = self._call
        call.module.add_logits(
            call.view("products", products),
            call.optional_view("bias", bias),
            self._form.inner,
            self._form.outer,
            self._form.capped,
            first,
            call.view("targets", self._targets[rows]),
            self.vocabulary,
            self.ignore_index,
            call.view("states", self._states[rows]),
            call.queue,
        )

    def finish(
        self, *, entropy: bool = False, top: bool = False, log_sum_exp: bool = False
    ) -> TokenLogprob:
        """Give what the rows have seen when the whole vocabulary has passed."""
        call, shape = self._call, (self._rows,)

        def made(asked: bool, dtype: str = "float32") -> Any:
            return call.empty(shape, dtype) if asked else None

        out = TokenLogprob(
            made(True), made(entropy), made(top), made(top, "int64"), made(log_sum_exp)
        )
        call.module.token_logprob(
            call.view("states", self._states),
            *(call.optional_view(name, array) for name, array in out._asdict().items()),
            call.queue,
        )
        return out


def form_of(call: Call, temperature: Any, logit_scale: Any, soft_cap: Any) -> LogitForm:
    """Check what becomes of a product, and say it in two factors.

    Raises:
        ValueError: a number that is not positive and finite, or factors beyond float32.
    """
    given = {"temperature": temperature, "logit_scale": logit_scale}
    if soft_cap is not None:
        given["soft_cap"] = soft_cap
    for argument, value in given.items():
        number = call.number(argument, value)
        if not 0.0 < number < np.inf:
            none = ", or None for no cap" if argument == "soft_cap" else ""
            raise ValueError(
                f"{call.op}: {argument} must be positive and finite{none}; got {value!r}"
            )
    tau, scale = float(temperature), float(logit_scale)
    if soft_cap is None:
        form = LogitForm(scale / tau)
    else:
        form = LogitForm(scale / float(soft_cap), float(soft_cap) / tau, capped=True)
    tiny, huge = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
    if not all(tiny <= factor <= huge for factor in form[:2]):
        said = ", ".join(f"{name}={value!r}" for name, value in given.items())
        raise ValueError(
            f"{call.op}: temperature: the factors of a logit leave float32 with {said}; take "
            "numbers nearer to 1"
        )
    return form
