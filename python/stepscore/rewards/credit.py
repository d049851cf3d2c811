"""The published ways to give credit, by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from stepscore.errors import InputError
from stepscore.rewards.methods.attribution import abc
from stepscore.rewards.methods.baselines import (
    gdpo,
    optimal_token_baseline,
    reinforce_plus_plus,
    reinforce_plus_plus_baseline,
    remax,
    whitened_gae,
)
from stepscore.rewards.methods.critiques import capo, capo_votes, merged_thoughts, tp_grpo
from stepscore.rewards.methods.gates import (
    gated_accumulation,
    posterior_grpo,
    priority_gates,
    prof_filter,
    trust_weighted,
)
from stepscore.rewards.methods.groups import dr_grpo, gpg, grpo, grpo_passk, opo, rloo
from stepscore.rewards.methods.implicit import implicit_prm, istar, prl, rto
from stepscore.rewards.methods.length import (
    kimi_length,
    laser,
    laser_d,
    laser_target,
    normalised_length,
    vapo_lambda,
)
from stepscore.rewards.methods.outcome import (
    agent_prm_targets,
    log_sigmoid_centred,
    par,
    pspo,
    tdrm_targets,
)
from stepscore.rewards.methods.prime import prime, prime_returns
from stepscore.rewards.methods.progress import mrt, mrt_termination, pav, pbrs, progress
from stepscore.rewards.methods.pure import pure, pure_advantage, pure_min
from stepscore.rewards.methods.shaping import clip, clip_delta, delta, math_shepherd, ppr, red, spa
from stepscore.rewards.methods.step_groups import outcome_shares, step_grpo, step_scores_in_group
from stepscore.rewards.methods.tries import lambda_grpo, portool

Confidence: TypeAlias = Literal["author", "third-party", "unverified"]


@dataclass(frozen=True)
class Method:
    """What is known of a method.

    Attributes:
        function: which computes it; its docstring is the manual.
        formula: in one line.
        needs: what it is made of.
        gives: one number for each of what.
        source: a paper, or a repository.
        confidence: ``author``: from the authors' or the framework's own code; ``third-party``: as
            somebody else states it; ``unverified``: parts of it are not confirmed, and are
            required arguments.
    """

    function: Callable[..., Any]
    formula: str
    needs: str
    gives: str
    source: str
    confidence: Confidence = "author"

    @property
    def name(self) -> str:
        """As `method` takes it."""
        return self.function.__name__

    @property
    def family(self) -> str:
        """The file in ``rewards/methods`` that it stands in."""
        return self.function.__module__.rpartition(".")[2]


_UNSURE: Confidence = "unverified"
_TOLD: Confidence = "third-party"
_REWARDS, _STEPS, _TOKENS = "step rewards", "steps", "tokens"
_ROLLOUTS = "rollouts"
_OUTCOMES, _RATIOS = "outcomes, groups", "log-ratios of tokens"
_2410_15115 = "arXiv 2410.15115"
_PURE, _VERL, _LASER = "CJReinforce/PURE", "verl", "hkust-nlp/Laser"

_ROWS = (
    Method(pure, "softmax(-PR/T) PR", _REWARDS, _STEPS, _PURE),
    Method(pure_min, "min over the steps to come", "step rewards, ends", _TOKENS, _PURE),
    Method(
        pure_advantage,
        "return of PURE's rewards, less the group's",
        "step rewards, ends, groups",
        _TOKENS,
        _PURE,
    ),
    Method(clip, "min(PR, eta) - eta", _REWARDS, _STEPS, _2410_15115, _UNSURE),
    Method(delta, "PR_k - PR_{k+1}", _REWARDS, _STEPS, _2410_15115, _UNSURE),
    Method(clip_delta, "delta of clip", _REWARDS, _STEPS, _2410_15115, _UNSURE),
    Method(ppr, "PR + R - 1", "step rewards, outcomes", _STEPS, "PPR", _UNSURE),
    Method(
        red,
        "beta (RM_t - RM_{t-1}) + (1 - beta) R at the end",
        "reward model at every token, outcomes",
        _TOKENS,
        "arXiv 2411.08302",
        _UNSURE,
    ),
    Method(
        spa, "v_k + w executable_k", "progress of turns", "turns", "WangHanLinHenry/SPA-RL-Agent"
    ),
    Method(
        math_shepherd,
        "GAE of PR on each step's last token",
        "step rewards, ends, critic",
        "tokens, twice",
        "arXiv 2312.08935",
        _UNSURE,
    ),
    Method(pbrs, "gamma Phi_{k+1} - Phi_k", "potentials", _STEPS, "Ng et al. 1999", _UNSURE),
    Method(
        progress, "alpha (V_k - V_{k-1})", "prover's values", _STEPS, "arXiv 2410.08146", _UNSURE
    ),
    Method(
        pav,
        "Q_k + alpha (V_k - V_{k-1})",
        "policy's and prover's values",
        _STEPS,
        "arXiv 2410.08146",
        _UNSURE,
    ),
    Method(
        mrt,
        "R + alpha (J_j - J_{j-1})",
        "chances of success, outcomes",
        "episodes",
        "arXiv 2503.07572",
        _UNSURE,
    ),
    Method(mrt_termination, "R - R_stop", "outcomes, those of stopping", _ROLLOUTS, "CMU-AIRe/MRT"),
    Method(grpo, "(R - mean) / (std + eps)", _OUTCOMES, _ROLLOUTS, "DeepSeekMath; trainers"),
    Method(rloo, "R - mean of the others", _OUTCOMES, _ROLLOUTS, "Back to Basics; trainers"),
    Method(dr_grpo, "R - mean", _OUTCOMES, _ROLLOUTS, "Dr.GRPO; trainers"),
    Method(opo, "R - sum(L R) / sum(L)", "outcomes, groups, lengths", _ROLLOUTS, _VERL),
    Method(gpg, "B / nonzero (R - mean) / f", _OUTCOMES, _ROLLOUTS, _VERL),
    Method(grpo_passk, "best: (R_1 - R_2) / (std + eps)", _OUTCOMES, _ROLLOUTS, _VERL),
    Method(
        step_scores_in_group,
        "(PR - mean) / std over a group's steps",
        "step rewards, groups",
        _STEPS,
        "DeepSeekMath; AgentEvolver",
        _TOLD,
    ),
    Method(
        step_grpo,
        "sum of these over the steps to come",
        "step rewards, groups",
        _STEPS,
        "DeepSeekMath; AgentEvolver",
        _TOLD,
    ),
    Method(
        outcome_shares,
        "+-1 shared by agreement",
        "good steps, correct rollouts",
        _STEPS,
        "modelscope/AgentEvolver",
    ),
    Method(whitened_gae, "whiten(GAE)", "token rewards, critic", "tokens, twice", "trainers"),
    Method(remax, "return - R_greedy", "token rewards, greedy rewards", _TOKENS, _VERL),
    Method(reinforce_plus_plus, "whiten(return)", "token rewards", _TOKENS, _VERL),
    Method(reinforce_plus_plus_baseline, "whiten(R - mean)", _OUTCOMES, _TOKENS, _VERL),
    Method(gdpo, "whiten(sum of w GRPO)", "outcomes of kinds, groups", _TOKENS, _VERL),
    Method(
        optimal_token_baseline,
        "G - sum(G W) / sum(W) of token t",
        "token rewards, probabilities, groups",
        _TOKENS,
        _VERL,
    ),
    Method(
        gated_accumulation,
        "PR where R >= delta",
        "step rewards, outcomes",
        _STEPS,
        "arXiv 2508.10548",
        _TOLD,
    ),
    Method(
        priority_gates,
        "sum of r_k where all before pass",
        "rewards by priority",
        _ROLLOUTS,
        "arXiv 2508.10548",
        _TOLD,
    ),
    Method(
        posterior_grpo,
        "R_format + R + R_thinking where R passes",
        "three rewards",
        _ROLLOUTS,
        "arXiv 2508.05170",
        _UNSURE,
    ),
    Method(
        trust_weighted,
        "R + w exp(-s/T) trust R_thinking",
        "outcomes, thinking rewards, groups",
        _ROLLOUTS,
        "kxfan2002/SophiaVL-R1",
    ),
    Method(
        prof_filter,
        "best correct, worst wrong by mean PR",
        "step scores, correct, groups",
        "rollouts to keep",
        "Chenluye99/PROF",
        _UNSURE,
    ),
    Method(laser, "1 + a where L <= target", "correct, lengths", _ROLLOUTS, _LASER),
    Method(laser_d, "laser by difficulty", "correct, lengths, groups", _ROLLOUTS, _LASER),
    Method(laser_target, "least L with c(L) n >= 1", "coverage of lengths", "a level", _LASER),
    Method(kimi_length, "1/2 - share of length", "correct, lengths, groups", _ROLLOUTS, _LASER),
    Method(
        normalised_length, "1 - w sigmoid(z of L)", "correct, lengths, groups", _ROLLOUTS, _LASER
    ),
    Method(vapo_lambda, "1 - 1 / max(alpha L, 1)", "lengths", _ROLLOUTS, "NVIDIA-NeMo/RL"),
    Method(par, "mean sigmoid(k (R - R_m))", "rewards, references", _ROLLOUTS, "PorUna-byte/PAR"),
    Method(
        log_sigmoid_centred,
        "log sigmoid(R - 85th percentile)",
        "rewards, references",
        _ROLLOUTS,
        "PorUna-byte/PAR",
    ),
    Method(pspo, "g f(g, S)", "step probabilities", _ROLLOUTS, "DIRECT-BIT/PSPO"),
    Method(
        tdrm_targets,
        "clamp(n rewards + gamma^n V, 0, 1)",
        "step rewards, values",
        _STEPS,
        "THUDM/TDRM",
    ),
    Method(
        agent_prm_targets,
        "mean gamma^d (2 R - 1) of a pair",
        "states and actions, scores",
        _STEPS,
        "sanjibanc/agent_prm",
    ),
    Method(
        implicit_prm, "beta sum of q to the end", f"{_RATIOS}, ends", _STEPS, "PRIME-RL/ImplicitPRM"
    ),
    Method(
        prime_returns,
        "return of sources less the others",
        f"{_RATIOS}, outcomes, groups",
        _TOKENS,
        "PRIME-RL/PRIME",
    ),
    Method(
        prime,
        "whiten(prime_returns)",
        f"{_RATIOS}, outcomes, groups",
        _TOKENS,
        "PRIME-RL/PRIME",
    ),
    Method(
        istar,
        "rloo of outcomes + w rloo of steps",
        f"{_RATIOS}, ends, outcomes, groups",
        _TOKENS,
        "Tongyi-ConvAI/Qwen-Character",
    ),
    Method(
        prl,
        "R - sum of q / eta",
        f"{_RATIOS}, ends, outcomes",
        _STEPS,
        "arXiv 2601.10201",
        _UNSURE,
    ),
    Method(
        rto,
        "clip(beta q) - w KL, R at the end",
        f"{_RATIOS}, KL, outcomes",
        _TOKENS,
        "zkshan2002/RTO",
    ),
    Method(
        lambda_grpo,
        "1 / rollouts with this prefix",
        "token ids, groups",
        _TOKENS,
        "coli-saar/grpo-prm",
    ),
    Method(
        portool,
        "b (v - siblings) + (1 - b) (R - mean)",
        "texts of steps, outcomes, groups",
        _STEPS,
        "arXiv 2510.26020",
        _UNSURE,
    ),
    Method(capo_votes, "vote of critiques", "verdicts", _STEPS, "arXiv 2508.02298", _TOLD),
    Method(
        capo,
        "R - penalty in wrong steps",
        "verdicts, ends, outcomes",
        _TOKENS,
        "arXiv 2508.02298",
        _UNSURE,
    ),
    Method(
        merged_thoughts, "runs of equal labels", "labels", "thoughts", "arXiv 2507.23317", _UNSURE
    ),
    Method(
        tp_grpo,
        "c accuracy label",
        "labels, correct, groups",
        "thoughts",
        "arXiv 2507.23317",
        _UNSURE,
    ),
    Method(
        abc,
        "beta R alpha_t + (1 - beta) R at the end",
        "attention, outcomes",
        _TOKENS,
        "XanderJC/attention-based-credit",
    ),
)

METHODS: Mapping[str, Method] = MappingProxyType({row.name: row for row in _ROWS})
"""Every method, by name."""


def method(name: str) -> Method:
    """Give what is known of a method.

    Args:
        name: one of `method_names`.

    Raises:
        ValueError: a name that is not offered; the nearest is named.

    Examples:
        >>> method("rloo").function([1.0, 0.0, 0.0], [0, 0, 0])
        array([ 1. , -0.5, -0.5])
    """
    if name not in METHODS:
        near = difflib.get_close_matches(name, list(METHODS), 1)
        raise InputError(
            f"one of {', '.join(METHODS)}",
            got=repr(name),
            advice=f"did you mean {near[0]!r}?" if near else "pass one of these",
            argument="name",
            where="method",
        )
    return METHODS[name]


def method_names() -> list[str]:
    """Give the names that `method` takes.

    Examples:
        >>> "step_grpo" in method_names()
        True
    """
    return list(METHODS)
