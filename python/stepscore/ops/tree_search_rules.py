"""Rules of Monte Carlo tree search by name, and the parameters that a name stands for.

A rule is its formula (``rule``) and what else tells one published search from another. Formulas and
sources: `stepscore.TreeSearch.select`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, cast

from stepscore import _core

if TYPE_CHECKING:
    from typing_extensions import Unpack

SelectionRule: TypeAlias = Literal[
    "puct",
    "uct",
    "muzero",
    "gumbel",
    "openr",
    "alphamath",
    "rest_mcts",
    "masprm",
    "usail",
    "llm_reasoners",
]


class Parameters(TypedDict, total=False):
    r"""What tells one search from another.

    Attributes:
        prior: of a child: ``one``, ``exp`` or ``softmax`` (of logprob) or ``softmax_of_value``.
        unvisited: the :math:`Q` of a child without visits: ``zero``, ``parent``, ``least`` (of node
            and visited children), ``value`` (its score), ``bonus`` (score + `bonus`, without
            exploration) or ``first``.
        backup: ``mean``, ``max`` or ``weighted`` (of the children, by their visits).
        backup_from: ``leaf``, ``best_child`` of it, ``children`` (each), or ``rollout``, which
            expands the best child and goes on from there to a terminal or `max_depth`.
        evaluate: what is scored: ``leaf`` or ``children``.
        terminals: ``revisit``, or ``once``.
        virtual_loss: how simulations in flight count: ``count`` or ``constant``, then with `loss`.
        loss: of ``virtual_loss="constant"``.
        c, c_base: of the exploration.
        log_factor: :math:`f` of ``uct``.
        bonus: of ``unvisited="bonus"``.
        discount: :math:`\gamma`.
        value_count, mean_epsilon: :math:`m` and :math:`\epsilon` of :math:`V = (W + m v) / (n + m +
            \epsilon)`.
        value_scale, visit_offset, gumbel_scale, considered: :math:`v_s`, :math:`v_0`, the factor of
            the noise, and the children considered at the root of ``gumbel``.
        max_depth: of a leaf.
    """

    prior: Literal["one", "exp", "softmax", "softmax_of_value"]
    unvisited: Literal["zero", "parent", "least", "value", "bonus", "first"]
    backup: Literal["mean", "max", "weighted"]
    backup_from: Literal["leaf", "best_child", "children", "rollout"]
    evaluate: Literal["leaf", "children"]
    terminals: Literal["revisit", "once"]
    virtual_loss: Literal["count", "constant"]
    loss: float
    c: float
    c_base: float
    log_factor: float
    bonus: float
    discount: float
    value_count: float
    mean_epsilon: float
    value_scale: float
    visit_offset: float
    gumbel_scale: float
    considered: int
    max_depth: int


class Settings(Parameters, total=False):
    """A rule with all its parameters.

    Attributes:
        rule: the formula, see `stepscore.TreeSearch.select`.
    """

    rule: Literal["puct", "muzero", "uct", "gumbel"]


DEFAULTS = cast("Settings", _core.SELECTION_DEFAULTS)
_UCT: Settings = {"rule": "uct", "prior": "one", "unvisited": "first"}
SELECTION_RULES: dict[SelectionRule, Settings] = {
    "puct": {},
    "uct": {**_UCT, "c": 1.0, "log_factor": 2.0},
    "muzero": {"rule": "muzero", "evaluate": "leaf"},
    "gumbel": {"rule": "gumbel", "evaluate": "leaf"},
    "openr": {"unvisited": "value"},
    "alphamath": {"prior": "exp", "c": 1.5, "c_base": float("inf"), "terminals": "once"},
    "rest_mcts": {
        **_UCT,
        "c": 0.4,
        "log_factor": 2.0,
        "unvisited": "bonus",
        "bonus": 1.0,
        "backup": "weighted",
        "backup_from": "best_child",
    },
    "masprm": {**_UCT, "c": 2.0, "value_count": 1.0},
    "usail": {"prior": "one", "mean_epsilon": 1e-6},
    "llm_reasoners": {**_UCT, "c": 1.0, "unvisited": "value", "backup_from": "rollout"},
}


@lru_cache(maxsize=256)
def selection(
    rule: SelectionRule, simulations: int, samples: int, **parameters: Unpack[Parameters]
) -> _core.Selection:
    """Give the rule of this name with these parameters changed, as the core takes it."""
    if rule not in SELECTION_RULES:
        raise ValueError(f"select: unknown rule {rule!r}; choose from {', '.join(SELECTION_RULES)}")
    unknown = parameters.keys() - DEFAULTS.keys()
    if unknown:
        raise ValueError(
            f"select: unknown parameter {min(unknown)!r}; choose from {', '.join(DEFAULTS)}"
        )
    settings: dict[str, Any] = {**DEFAULTS, **SELECTION_RULES[rule], **parameters}
    return _core.Selection(simulations=simulations, samples=samples, **settings)
