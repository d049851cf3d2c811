"""Web-Shepherd: how much of a checklist a web agent's action has done, or is doing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

from stepscore.errors import InputError
from stepscore.policies.texts import TextPolicy, Turn
from stepscore.recipes import Reading
from stepscore.scoring.rubrics.answers import By, Draw, Words
from stepscore.scoring.rubrics.checklist import ChecklistVerdict
from stepscore.scoring.verdicts.model import GenerativeRewardModel
from stepscore.scoring.verdicts.verdict_recipe import verdict_recipe
from stepscore.scoring.verdicts.word_verdict import check_tells

_TASK = """\
You are an expert evaluator of web agent. Your task is to assess how helpful a given agent's \
THOUGHT and ACTION is in making progress toward the user's goal, based on the current state of the \
webpage.

# Task Description
Evaluate how well the agent’s THOUGHT and ACTION satisfy each item in the checklist using the task \
instruction, trajectory (including previously completed steps), current webpage state, and the \
agent’s latest response. Start by writing a concise paragraph summarizing the agent’s overall \
performance. Refer to the reasoning provided in the trajectory, and discuss whether the THOUGHT is \
appropriate and the ACTION moves the task forward.
Then, assess each checklist item individually using the following labels:
- Yes: The item is fully and clearly satisfied, either in the current response or previously \
completed.
- In Progress: There is meaningful partial progress toward completing the item.
- No: The item is not satisfied due to ambiguity, insufficient evidence, or lack of progress.

# Given Information
"""
_UNVERIFIED = (
    "How the trajectory before the step is written; here its steps, one below the other.",
    "How the items of the checklist are written; here 'Checklist 1: ...', as they are answered.",
    "The other spellings of the answers, such as Done, whose probabilities the authors add.",
)


def web_shepherd(
    policy: TextPolicy,
    *,
    checklist: Callable[[str], Sequence[str]],
    state: Callable[[str, Sequence[str]], str],
    by: By = "probability",
    votes: int = 1,
    temperature: float = 0.0,
    max_tokens: int = 2048,
    seed: int = 0,
) -> GenerativeRewardModel:
    r"""Web-Shepherd: :math:`s = \frac{1}{n} \sum_i p_i(Yes) + \frac{1}{2} p_i(In\ Progress)`.

    Over the n items of the problem's checklist, with the probabilities of the three answers
    renormalised at their first token; without log-probabilities 1, 1/2 and 0 for the answers. A
    problem is the user's instruction; a step is ``THOUGHT: ...`` and ``ACTION: ...`` on two lines.

    Args:
        policy: Web-Shepherd's weights, such as ``LangAGI-Lab/WebShepherd_8B``.
        checklist: problem -> the items of its checklist, at least one.
        state: problem and steps -> what the page shows before the last of them, laid out as the
            authors have it: ``### Current URL`` and ``### AXTREE`` with their texts below.
        by: ``probability`` or ``text``.
        votes, temperature, max_tokens: of the texts about one step.
        seed: of everything that is drawn.

    Raises:
        InputError: what is no policy; another way to read the answers; votes, tokens or a
            temperature that no text can be drawn by. At a problem: a checklist without items.

    The authors give a text without answers the score 0, count the letters "No" also in other words,
    and let a text that answers fewer items have the share of these; here such a step has no score.
    An answer that is not among the likeliest tokens gets the least of their probabilities; the
    authors give it 0.

    Source: Chae et al., "Web-Shepherd: Advancing PRMs for Reinforcing Web Agents" (arXiv
    2505.15277), ``src/webprm``.
    """
    check_tells(policy, "web_shepherd")
    recipe = verdict_recipe(
        "web-shepherd",
        confidence="third-party",
        source="Web-Shepherd src/webprm, in thinkinbig/VisualAgentBench",
        readings=(Reading("score", "softmax", (1.0, 0.5, 0.0)),),
        verdicts=3,
        parameters={
            "by": by,
            "votes": votes,
            "temperature": temperature,
            "max_tokens": max_tokens,
            "seed": seed,
        },
        unverified=_UNVERIFIED,
    )
    verifier = ChecklistVerdict(
        recipe,
        partial(_items, checklist),
        partial(_show, state),
        re.compile(r"CHECKLIST EVALUATION:|<answer>"),
        r"Checklist {}:\s*(Yes|In Progress|No)\b",
        Words(("Yes", "In Progress", "No"), (1.0, 0.5, 0.0), by),
        Draw(max_tokens, temperature, votes),
        (Turn("system", ""), Turn("user", "1")),
    )
    return GenerativeRewardModel(policy, verifier, seed)


def _items(checklist: Callable[[str], Sequence[str]], problem: str) -> Sequence[str]:
    items = checklist(problem)
    if isinstance(items, str) or not items or not all(isinstance(item, str) for item in items):
        raise InputError(
            "a list of texts, at least one",
            got=repr(items)[:60],
            argument="checklist",
            where="web_shepherd",
        )
    return items


def _show(
    state: Callable[[str, Sequence[str]], str],
    problem: str,
    steps: Sequence[str],
    items: Sequence[str],
) -> tuple[Turn, ...]:
    trajectory = "".join(step.strip("\n") + "\n" for step in steps[:-1])
    listed = "\n".join(f"Checklist {number}: {item}" for number, item in enumerate(items, 1))
    user = (
        f"{_TASK}## User Instruction\n{problem}\n## Trajectory\n{trajectory}## Current State\n"
        f"{state(problem, steps).rstrip()}\n## Checklist\n{listed}\n"
        f"## Agent's Response\n{steps[-1]}\n\n"
    )
    return (Turn("system", ""), Turn("user", user))
