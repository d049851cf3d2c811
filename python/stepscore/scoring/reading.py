"""Hidden states that are there already, and their token ids -> step scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from stepscore.errors import Argument, InputError, InputTypeError
from stepscore.ragged import read_offsets
from stepscore.recipes import Recipe, Tokenizer
from stepscore.recipes.step_ends import find_step_ends, on_host
from stepscore.scoring.hidden_states import HiddenStates, read_hidden
from stepscore.scoring.running_scores import with_running
from stepscore.scoring.score_options import NonFinite, check_choice
from stepscore.scoring.scores import StepScores, further_readings
from stepscore.scoring.tail import Norm, head_layers, head_scores, normed

if TYPE_CHECKING:
    from stepscore.scoring.final_norm import FinalNorm


# Tokens that are looked at beside the read ones.
_SPREAD = 32


class StepReader(Protocol):
    """A recipe with its head, with or without a backbone."""

    @property
    def recipe(self) -> Recipe:
        """Says where steps end, and how they are read."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """The checkpoint's own."""
        ...

    @property
    def head(self) -> Any:
        """The head's weights."""
        ...

    @property
    def final_norm(self) -> FinalNorm | None:
        """The norm behind the model's last layer; None where it has no known name."""
        ...


class TokenArguments(NamedTuple):
    """What says which hidden states belong to which steps; see `read_steps`."""

    token_ids: Any
    offsets: Any
    attention_mask: Any
    lengths: Any
    positions: Any
    prompt_lengths: Any
    step_counts: Any


def read_steps(
    recipe: Recipe,
    head: Any,
    hidden: Any,
    token_ids: Any,
    offsets: Any = None,
    *,
    norm: Norm | None = None,
    tokenizer: Tokenizer | None = None,
    attention_mask: Any = None,
    lengths: Any = None,
    positions: tuple[Any, Any] | None = None,
    prompt_lengths: Any = None,
    step_counts: Any = None,
    nan: NonFinite = "error",
) -> StepScores:
    r"""Score steps from hidden states that are there already: no backbone is loaded or run.

    :math:`r_k = \sum_i w_i\, a(\mathrm{head}(\mathrm{norm}(h_{p_k})))_i`, where :math:`p_k` is the
    token at which step :math:`k` is read, and :math:`a` and :math:`w` are activation and weights of
    the recipe's reading.

    Only the rows :math:`p_k` are taken, normed and read. On equal hidden states the scores are
    those of `ProcessRewardModel.score`, bit for bit. No gradient flows through them.

    Args:
        recipe: says where steps end in token ids, and how a hidden state is read.
        head: what `stepscore.load_head` gives, ``prm.head``, ``[(weight, bias), ...]`` as in
            `stepscore.mlp_head`, a ``torch.nn.Linear``, or a ``Sequential`` of them and ReLUs.
        hidden: the hidden states that the recipe reads: the last ones, but for recipes whose
            ``head.hidden_layer`` says -2. float32, float16 or bfloat16, of NumPy, torch or JAX, on
            the CPU or on a GPU; ``[tokens, H]`` with `offsets`, or ``[batch, length, H]`` with
            `attention_mask` or `lengths`.
        token_ids: the ids that were forwarded, ``[tokens]`` or ``[batch, length]``; None where
            `positions` says which states are read.
        offsets: where each packed trace begins and ends, ``[traces + 1]``.
        norm: what the states lack: the final norm as a module of torch, as a function of rows
            ``[n, H]``, or ``(weight, eps)`` of an RMS norm,
            :math:`w\,h / \sqrt{\mathrm{mean}(h^2) + \epsilon}`. ``last_hidden_state`` of a stock
            model has it; what vLLM's ``extract_hidden_states`` writes of the last layer lacks it.
        tokenizer: the one that made the ids; None takes that of `head`, else published ids.
        attention_mask: 1 for tokens and 0 for padding before or behind them, ``[batch, length]``.
        lengths: the tokens of each padded row, which padding follows, ``[batch]``.
        positions: the tokens at which steps are read and where the steps of each trace begin, as
            `Recipe.positions` gives them, counted over tokens without padding; None finds them.
        prompt_lengths, step_counts: as in `Recipe.positions`; padding does not count.
        nan: ``error`` refuses a score that is no finite number; ``propagate`` gives it.

    Returns:
        Scores of every step of every trace, as `ProcessRewardModel.score` gives them.

    Raises:
        ValueError: shapes, offsets, mask or positions that do not fit each other; steps that cannot
            be found, as in `Recipe.positions`; a head of another shape than the recipe's; where
            `head` comes from `stepscore.load_head`, states that lack the final norm, or have it
            twice; a score that is not finite.
        TypeError: hidden states of another number format; ids that are no integers.
        DeviceError: states on a GPU that cannot be used, with the reason.

    Examples:
        >>> import numpy as np
        >>> import stepscore
        >>> hidden = np.array([[0, 0], [1, 2], [0, 0], [3, 1]], np.float32)
        >>> head = [(np.eye(2, dtype=np.float32), None)]
        >>> recipe = stepscore.recipes.trl_prm()
        >>> ids, offsets = [5, 198, 6, 198], [0, 2, 4]  # 198 is the newline of Qwen2.5
        >>> scores = stepscore.read_steps(recipe, head, hidden, ids, offsets, step_counts=[1, 1])
        >>> scores.values.round(2)
        array([0.73, 0.12], dtype=float32)
    """
    tokens = TokenArguments(
        token_ids, offsets, attention_mask, lengths, positions, prompt_lengths, step_counts
    )
    weights, known = head, None
    if hasattr(head, "final_norm"):  # what load_head gives
        weights, known = head.head, head.final_norm
        tokenizer = head.tokenizer if tokenizer is None else tokenizer
    return read(
        "read_steps", recipe, weights, hidden, tokens, tokenizer, norm=norm, known=known, nan=nan
    )


class ReadsHiddenStates:
    """What reads hidden states of the user's own."""

    @property
    def norm(self: StepReader) -> FinalNorm:
        """The norm behind the model's last layer, for `read` of states that lack it.

        Raises:
            ValueError: the model has none under a name that is known here.
        """
        if self.recipe.head.hidden_layer != -1:
            raise _no_norm("norm", self.recipe)
        if self.final_norm is None:
            raise InputError(
                "a model whose last layer is followed by a norm of a known name",
                got=f"none behind {self.recipe.name}",
                advice=("pass the module itself as ", Argument("norm")),
                where="norm",
            )
        return self.final_norm

    def read(
        self: StepReader,
        hidden: Any,
        token_ids: Any,
        offsets: Any = None,
        *,
        norm: Norm | None = None,
        attention_mask: Any = None,
        lengths: Any = None,
        positions: tuple[Any, Any] | None = None,
        prompt_lengths: Any = None,
        step_counts: Any = None,
        nan: NonFinite = "error",
    ) -> StepScores:
        """Score steps from hidden states that are there already, without a forward pass.

        On equal hidden states the scores are those of `ProcessRewardModel.score`, bit for bit.

        Args:
            hidden, token_ids, offsets: the last hidden states, their ids, and where traces begin
                and end: packed, or padded without offsets; see `stepscore.read_steps`.
            norm: what the states lack, such as ``.norm`` of this object; see
                `stepscore.read_steps`. States that lack it are refused, and so are states that get
                it twice.
            attention_mask, lengths, positions, prompt_lengths, step_counts, nan: as in
                `stepscore.read_steps`.

        Raises:
            ValueError, TypeError, DeviceError: as in `stepscore.read_steps`.

        Examples:
            >>> import stepscore
            >>> prm = stepscore.load("lab")
            >>> problems, solutions = ["85+95-16+20+11-30=?"], [["85+95=180", "180-16=164"]]
            >>> encoded = prm.recipe.encode(prm.tokenizer, problems, solutions)
            >>> import torch
            >>> with torch.no_grad():
            ...     ids = torch.from_numpy(encoded.token_ids).long()[None]
            ...     hidden = prm.backbone(input_ids=ids).last_hidden_state
            >>> scores = prm.read(hidden, ids, encoded.offsets, step_counts=[2])
            >>> (scores.values > 0.5).tolist()
            [True, True]
        """
        tokens = TokenArguments(
            token_ids, offsets, attention_mask, lengths, positions, prompt_lengths, step_counts
        )
        return read(
            "read",
            self.recipe,
            self.head,
            hidden,
            tokens,
            self.tokenizer,
            norm=norm,
            known=self.final_norm,
            nan=nan,
        )


def read(
    call: str,
    recipe: Recipe,
    head: Any,
    hidden: Any,
    tokens: TokenArguments,
    tokenizer: Tokenizer | None,
    *,
    norm: Norm | None,
    known: FinalNorm | None,
    nan: NonFinite,
) -> StepScores:
    """Read hidden states, for a public function.

    Args:
        call: that function, for messages.
        recipe, head, hidden, norm, tokenizer, nan: as in `read_steps`.
        tokens: which states belong to which steps.
        known: the model's own final norm, to tell states that lack it; None tells nothing.
    """
    check_choice(call, "nan", nan, NonFinite)
    layers = head_layers(call, recipe, head)
    if recipe.places is not None:
        raise InputError(
            "a recipe that reads one token of each step",
            got=f"{recipe.name!r}, which asks {', '.join(recipe.places.questions)} of a step in "
            "sequences of their own",
            advice="score its texts with the model",
            argument="recipe",
            where=call,
        )
    if norm is not None and recipe.head.hidden_layer != -1:
        raise _no_norm(call, recipe)
    states, ids = read_hidden(
        call,
        hidden,
        tokens.token_ids,
        tokens.offsets,
        tokens.attention_mask,
        tokens.lengths,
        int(layers[0][0].shape[1]),
    )
    ends, step_offsets = _ends(call, recipe, states, ids, tokens, tokenizer)
    rows = states.rows(ends)
    read_rows = rows if norm is None else normed(call, rows, norm)
    if known is not None:
        known.check(call, rows, applied=norm is not None)
        if norm is not None:  # of few steps only other tokens tell that they have it already
            known.check(call, states.rows(_spread(int(states.offsets[-1]))), applied=True)
    values = with_running(recipe, head_scores(recipe, layers, read_rows), step_offsets)
    if nan == "error":
        _check_finite(call, values, step_offsets)
    traces = len(step_offsets) - 1
    return StepScores(
        values[:, 0].copy(),
        step_offsets,
        recipe,
        np.zeros(traces, dtype=np.int64),
        readings=further_readings(recipe.readings, values),
    )


def _no_norm(call: str, recipe: Recipe) -> InputError:
    """Give the error for a norm behind states that the head reads without one."""
    return InputError(
        f"no norm, because {recipe.name} reads hidden_states[{recipe.head.hidden_layer}], the "
        "states before the last layer as they are",
        got="one",
        advice="leave it out, and pass the states of that layer",
        argument="norm",
        where=call,
    )


def _ends(
    call: str,
    recipe: Recipe,
    states: HiddenStates,
    ids: NDArray[np.int64] | None,
    tokens: TokenArguments,
    tokenizer: Tokenizer | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the steps are read, and where those of each trace begin."""
    if tokens.positions is None:
        if ids is None:
            raise InputError(
                "the ids that were forwarded",
                got="None",
                advice=("pass them, or ", Argument("positions")),
                argument="token_ids",
                where=call,
            )
        return find_step_ends(
            call,
            recipe,
            ids,
            states.offsets,
            tokenizer=tokenizer,
            prompt_lengths=tokens.prompt_lengths,
            step_counts=tokens.step_counts,
        )
    if not isinstance(tokens.positions, (tuple, list)) or len(tokens.positions) != 2:
        raise InputTypeError(
            "a pair: the positions, and where those of each trace begin",
            got=type(tokens.positions).__name__,
            advice="pass what recipe.positions gives",
            argument="positions",
            where=call,
        )
    ends, step_offsets = (on_host(call, "positions", part) for part in tokens.positions)
    step_offsets = read_offsets(call, step_offsets, len(ends), "positions")
    traces = len(states.offsets) - 1
    if len(step_offsets) != traces + 1:
        raise InputError(
            f"the steps of each of the {traces} traces",
            got=f"those of {len(step_offsets) - 1}",
            advice="pass offsets [traces + 1] with the positions",
            argument="positions",
            where=call,
        )
    trace = np.repeat(np.arange(traces), np.diff(step_offsets))
    outside = (ends < states.offsets[trace]) | (ends >= states.offsets[trace + 1])
    wrong = np.flatnonzero(outside | ((np.diff(ends, prepend=-1) <= 0) & (trace >= 0)))
    if len(wrong):
        at = int(wrong[0])
        begin, end = states.offsets[trace[at] : trace[at] + 2]
        raise InputError(
            f"ascending tokens of their own trace, which is tokens {begin} to {end - 1}",
            got=f"{ends[at]} for step {at - step_offsets[trace[at]]} of trace {trace[at]}",
            advice="count from the first token of the first trace, without padding",
            argument="positions",
            where=call,
        )
    _check_counts(call, tokens.step_counts, step_offsets)
    return ends, step_offsets


def _check_counts(call: str, step_counts: Any, step_offsets: NDArray[np.int64]) -> None:
    """Refuse counts that contradict positions."""
    if step_counts is not None:
        counts = on_host(call, "step_counts", step_counts)
        if not np.array_equal(counts, np.diff(step_offsets)):
            raise InputError(
                "as many steps as the positions have",
                got=f"{counts.tolist()[:5]} for {np.diff(step_offsets).tolist()[:5]}",
                advice="leave them out where positions say it",
                argument="step_counts",
                where=call,
            )


def _spread(tokens: int) -> NDArray[np.int64]:
    """Give some tokens from all over the traces."""
    return np.unique(np.linspace(0, max(0, tokens - 1), min(tokens, _SPREAD)).astype(np.int64))


def _check_finite(call: str, values: NDArray[np.float32], step_offsets: NDArray[np.int64]) -> None:
    finite = np.isfinite(values)
    wrong = np.flatnonzero(~finite.all(1))
    if not len(wrong):
        return
    trace = int(np.searchsorted(step_offsets, wrong[0], side="right")) - 1
    value = values[wrong[0]][~finite[wrong[0]]][0]
    more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    raise InputError(
        "hidden states that give a finite score for every step",
        got=f"{value} for step {wrong[0] - step_offsets[trace]} of trace {trace}{more}",
        advice=(
            "the model that made them may have overflowed in float16: run it in bfloat16 or "
            "float32, or pass ",
            Argument("nan", "propagate"),
        ),
        argument="hidden",
        where=call,
    )
