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
        prior: of a child: ``one``, ``exp`` or ``softmax`` (of logprob), ``exp_of_mean`` or
            ``softmax_of_mean`` (of logprob over the tokens of the step; as it is where they are not
            known), or ``softmax_of_value``.
        unvisited: the :math:`Q` of a child without visits: ``zero``, ``parent``, ``least`` (of node
            and visited children), ``value`` (its score), ``bonus`` (score + `bonus`, without
            exploration) or ``first``.
        backup: ``mean``, ``max`` or ``weighted`` (of the children, by their visits).
        backup_from: ``leaf``, ``best_child`` of it, ``children`` (each), or ``rollout``, which
            expands the best child and goes on from there to a terminal or `max_depth`.
        evaluate: what is scored: ``leaf`` or ``children``.
        terminals: ends, which are terminals and nodes at `max_depth`: ``revisit``, or ``once``.
        exhausted: what follows where nothing is left below a selected node: ``elsewhere``, once
            more from the root, or ``stop``, the end of the problem's search.
        duplicates: among the children of a leaf: ``keep``, or ``merge``, which passes over a child
            that repeats an earlier one's payload.
        ends: what a terminal gives back: ``score``, or ``outcome``, where one was told.
        root: whether its expansion comes ``before`` the first simulation or is ``counted`` as it.
        virtual_loss: how simulations in flight count: ``count`` or ``constant``, then with `loss`.
        loss: of ``virtual_loss="constant"``.
        c, c_base: of the exploration.
        log_factor, count_offset: :math:`f` and :math:`k` of ``uct``.
        bonus: of ``unvisited="bonus"``.
        discount: :math:`\gamma`.
        value_count, mean_epsilon: :math:`m` and :math:`\epsilon` of :math:`V = (W + m v) / (n + m +
            \epsilon)`.
        depth_value: what a node at `max_depth` gives back; infinity: its score.
        gate: the value of a leaf that ends the problem's search; infinity: none does.
        roll_steps, roll_samples, roll_weight: of ``best_child``: it is rolled forward so many
            steps, each the best of so many samples, and its value is that share of the greatest
            value on the way. The samples stay outside the tree, as pruned nodes.
        value_scale, visit_offset, gumbel_scale, considered: :math:`v_s`, :math:`v_0`, the factor of
            the noise, and the children considered at the root of ``gumbel``.
        max_depth: of a leaf.
    """

    prior: Literal["one", "exp", "softmax", "softmax_of_value", "exp_of_mean", "softmax_of_mean"]
    unvisited: Literal["zero", "parent", "least", "value", "bonus", "first"]
    backup: Literal["mean", "max", "weighted"]
    backup_from: Literal["leaf", "best_child", "children", "rollout"]
    evaluate: Literal["leaf", "children"]
    terminals: Literal["revisit", "once"]
    exhausted: Literal["elsewhere", "stop"]
    duplicates: Literal["keep", "merge"]
    ends: Literal["score", "outcome"]
    root: Literal["before", "counted"]
    virtual_loss: Literal["count", "constant"]
    loss: float
    c: float
    c_base: float
    log_factor: float
    count_offset: float
    bonus: float
    discount: float
    value_count: float
    mean_epsilon: float
    depth_value: float
    gate: float
    roll_weight: float
    value_scale: float
    visit_offset: float
    gumbel_scale: float
    considered: int
    roll_steps: int
    roll_samples: int
    max_depth: int


class Settings(Parameters, total=False):
    """A rule with all its parameters.

    Attributes:
        rule: the formula, see `stepscore.TreeSearch.select`.
    """

    rule: Literal["puct", "muzero", "uct", "gumbel"]


DEFAULTS = cast("Settings", _core.SELECTION_DEFAULTS)
_UCT: Settings = {"rule": "uct", "prior": "one", "unvisited": "first"}
_TO_THE_END: Settings = {
    "unvisited": "value",
    "backup_from": "rollout",
    "root": "counted",
    "duplicates": "merge",
}
SELECTION_RULES: dict[SelectionRule, Settings] = {
    "puct": {},
    "uct": {**_UCT, "c": 1.0, "log_factor": 2.0},
    "muzero": {"rule": "muzero", "evaluate": "leaf"},
    "gumbel": {"rule": "gumbel", "evaluate": "leaf"},
    "openr": {**_TO_THE_END, "prior": "softmax_of_mean"},
    "alphamath": {
        "prior": "exp_of_mean",
        "c": 1.5,
        "c_base": float("inf"),
        "terminals": "once",
        "exhausted": "stop",
        "depth_value": -1.0,
        "root": "counted",
    },
    "rest_mcts": {
        **_UCT,
        "c": 0.4,
        "log_factor": 2.0,
        "unvisited": "bonus",
        "bonus": 1.0,
        "backup": "weighted",
        "backup_from": "best_child",
        "roll_steps": 2,
        "gate": 0.9,
        "duplicates": "merge",
        "root": "counted",
    },
    "masprm": {
        **_UCT,
        **_TO_THE_END,
        "c": 2.0,
        "value_count": 1.0,
        "count_offset": 1.0,
        "ends": "outcome",
    },
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
