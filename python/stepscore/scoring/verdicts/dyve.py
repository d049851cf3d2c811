"""Dyve: a fast verdict of one token, and a slow one where the fast one is unsure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stepscore.errors import InputError
from stepscore.policies.texts import GeneratedText, TextPolicy, Turn
from stepscore.recipes import Recipe
from stepscore.scoring.score_options import is_finite
from stepscore.scoring.verdicts.model import GenerativeRewardModel
from stepscore.scoring.verdicts.programs import Program, ask
from stepscore.scoring.verdicts.sampling import Sampling
from stepscore.scoring.verdicts.verdict import Scope, Seeds, StepVerdict, Vote, decide
from stepscore.scoring.verdicts.verdict_recipe import verdict_recipe
from stepscore.scoring.verdicts.word_verdict import check_tells
from stepscore.scoring.verdicts.words import no_verdict, read_next, said_at_the_end

_FAST = Turn("assistant", "+")
_SLOW = Turn("assistant", "<think>\n\n</think> +")
_QUESTION = "Is this step correct? You must answer with '+' for correct or "


def dyve(
    policy: TextPolicy,
    *,
    unsure: tuple[float, float],
    max_tokens: int = 8192,
    seed: int = 0,
) -> GenerativeRewardModel:
    r"""Dyve: :math:`s_k = p_+ / (p_+ + p_-)`, or where that is unsure the slow verdict, 0 or 1.

    Fast: the problem and the steps are the user's turns, each right one so far answered by ``+``,
    and one token is read. Slow: the user asks whether the step is correct, and the end of what the
    verifier has thought is read.

    Args:
        policy: Dyve's weights, such as ``Jianyuan1/deepseek-r1-14b-cot-math-reasoning-full``.
        unsure: a fast score strictly between these two is replaced by the slow verdict;
            ``(0, 1)`` always thinks, ``(1, 1)`` never does. The authors' switch is unverified.
        max_tokens: of the slow verdict.
        seed: has an effect only where a policy draws in spite of temperature 0.

    Raises:
        InputError: what is no policy; two bounds that are not in ascending order in [0, 1].

    Source: staymylove/Dyve, ``omegaprm.py``. There the steps behind the first wrong one get 0
    unread; here each step is read as if those before it were right.
    """
    check_tells(policy, "dyve")
    two = isinstance(unsure, (tuple, list)) and len(unsure) == 2 and all(map(is_finite, unsure))
    if not two or not 0 <= unsure[0] <= unsure[1] <= 1:
        raise InputError(
            "two numbers in ascending order, of 0 to 1",
            got=repr(unsure),
            argument="unsure",
            where="dyve",
        )
    sampling = Sampling(max_tokens)
    recipe = verdict_recipe(
        "dyve",
        confidence="author",
        source="https://github.com/staymylove/Dyve",
        parameters={**sampling.as_parameters(), "unsure": unsure},
        unverified=("when the fast verdict is unsure: unsure is an argument",),
    )
    return GenerativeRewardModel(
        policy, DyveVerifier(recipe, sampling, (unsure[0], unsure[1])), seed
    )


@dataclass(frozen=True)
class DyveVerifier:
    """See `dyve`; its arguments."""

    recipe: Recipe
    sampling: Sampling
    unsure: tuple[float, float]

    @property
    def scope(self) -> Scope:
        """The steps before count as right."""
        return "step"

    @property
    def logprobs(self) -> int:
        """Of the fast verdict."""
        return self.sampling.logprobs

    @property
    def sample(self) -> tuple[Turn, ...]:
        """Turns."""
        return (Turn("user", "1"),)

    def judge(
        self, problem: str, steps: Sequence[str], seeds: Seeds, before: Sequence[StepVerdict] = ()
    ) -> Program[list[StepVerdict]]:
        """Judge the last step."""
        request = self.sampling.request(
            self.turns(problem, steps, slow=False), seeds(0, 0), logprobs=True, max_tokens=1
        )
        answer = yield from ask(request)
        score = read_next(_stripped(answer), ("+", "-"))[0]
        if not self.unsure[0] < score < self.unsure[1]:
            return [decide([Vote(score, answer.text)], 1)]
        slow = self.turns(problem, steps, slow=True)
        text = yield from ask(self.sampling.request(slow, seeds(1, 0)))
        return [decide([Vote(float(_is_right(text)), text.text)], 1)]

    def turns(self, problem: str, steps: Sequence[str], *, slow: bool) -> tuple[Turn, ...]:
        """What the verifier reads."""
        turns = []
        for number, step in enumerate(steps):
            if number:
                turns.append(_SLOW if slow else _FAST)
            if slow:
                first = f"Problem: {problem}\n\n" if number == 0 else ""
                minus = "'-'" if number == 0 else "-'"  # as the authors have it
                end = f"{_QUESTION}{minus} for incorrect in the end of your response."
                turns.append(Turn("user", f"{first}Step: {step}\n\n{end}"))
            else:
                turns.append(Turn("user", f"{problem}\n\n{step}" if number == 0 else step))
        return tuple(turns)


def _stripped(answer: GeneratedText) -> GeneratedText:
    """The answer with its tokens' blanks removed, likelier ones first, as the authors strip it."""
    tokens = []
    for token in answer.tokens:
        top: dict[str, float] = {}
        for text, logprob in token.top:
            top.setdefault(text.strip(), logprob)
        tokens.append(replace(token, text=token.text.strip(), top=tuple(top.items())))
    return replace(answer, tokens=tuple(tokens))


def _is_right(text: GeneratedText) -> bool:
    """Whether a slow verdict ends in a plus, by the authors' rule.

    Raises:
        VerdictError: the end has neither sign, or was cut off.
    """
    said = said_at_the_end(text).strip().lower()
    ends = said[-5:], " ".join(said.split()[-3:])
    if not any(sign in end for end in ends for sign in "+-"):
        raise no_verdict(text, "'+' or '-' at the end")
    return any("+" in end and "-" not in end for end in ends)
