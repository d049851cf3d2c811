"""Natural programs: a step is verified against its premises alone, and answers are elected."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from stepscore.errors import InputError
from stepscore.ops import VoteResult, vote
from stepscore.policies.texts import GeneratedText, TextPolicy, Turn
from stepscore.recipes import Recipe
from stepscore.scoring.score_options import check_choice, is_finite
from stepscore.scoring.scores import StepScores
from stepscore.scoring.verdicts.model import GenerativeRewardModel
from stepscore.scoring.verdicts.programs import Program, VerdictError, ask, together
from stepscore.scoring.verdicts.sampling import Sampling
from stepscore.scoring.verdicts.verdict import Scope, Seeds, StepVerdict, Vote, decide
from stepscore.scoring.verdicts.verdict_recipe import verdict_recipe
from stepscore.scoring.verdicts.word_verdict import check_tells
from stepscore.scoring.verdicts.words import no_verdict, said_at_the_end

# (problem, steps up to the one that is judged) -> the texts that it rests on
Premises = Callable[[str, Sequence[str]], Sequence[str]]

Fallback = Literal["none", "plurality"]

_ASK = (
    'Double-check the reasoning process, let\'s analyze its correctness, and end with "yes" or '
    '"no".\n\nAnswer:\nLet\'s think step by step without any assumptions.\n'
)
_LABEL = re.compile(r"^\s*#(\d+)\.?\s*", re.MULTILINE)
_CITED = re.compile(r"\(\s*by\s*([^)]*)\)")
# A number, or a range of numbers, and what looks like a number that is no label.
_LABELS = re.compile(r"#\s*(\d+)(?:\s*[-–]\s*#?\s*(\d+))?")
_BARE = re.compile(r"(?:[,;&]|\band)\s*\d", re.IGNORECASE)
# "no errors" is no verdict.
_YES = re.compile(r"\byes\b|passes|not applicable|N/A", re.IGNORECASE)
_NO = re.compile(r"\bno\b(?!\s+\w)", re.IGNORECASE)
_LAST = re.compile(r"\b(yes|no)\W*\Z", re.IGNORECASE)
_WRONG = re.compile(
    r"is incorrect|is not correct|partially correct|cannot determine|cannot confirm|fails",
    re.IGNORECASE,
)


def natural_program(
    policy: TextPolicy,
    *,
    premises: Premises | None = None,
    examples: str = "",
    votes: int = 1,
    temperature: float = 0.7,
    max_tokens: int = 2048,
    seed: int = 0,
) -> GenerativeRewardModel:
    r"""Premises-only verification: :math:`s_k` is the share of votes that end in yes.

    The verifier sees the premises of a step and the step, nothing else. `elect_verified` elects
    among candidates: those whose every step has a majority, by plurality.

    Args:
        policy: the verifier.
        premises: problem and steps -> the texts that the last step rests on. None reads natural
            programs, in which ``#5. (by #2 #3)`` begins a step and labels name its premises; the
            problem then holds the labels of what is given.
        examples: what stands before the question; the authors' few-shot text is in their
            ``prompts.py``.
        votes, temperature, max_tokens: of the verifications of each step.
        seed: of everything that is drawn.

    Raises:
        InputError: what is no policy; votes, tokens or a temperature that no text can be drawn
            by.

    Source: arXiv 2306.03872 and lz1oceani/verify_cot, ``run_verification.py``. There a text without
    an answer counts as yes, and of several words the first one, also the one in "no errors"; here
    the first gives no verdict, and a line that ends in yes or no says that.
    """
    check_tells(policy, "natural_program")
    sampling = Sampling(max_tokens, temperature if votes > 1 else 0.0, votes=votes)
    recipe = verdict_recipe(
        "natural-program",
        confidence="author",
        source="https://github.com/lz1oceani/verify_cot",
        default_aggregate="min",
        split=split_natural_program if premises is None else None,
        parameters=sampling.as_parameters(),
        unverified=("votes and temperature of the published figures",),
    )
    verifier = PremisesVerifier(recipe, sampling, premises or cited_premises, examples)
    return GenerativeRewardModel(policy, verifier, seed)


@dataclass(frozen=True)
class PremisesVerifier:
    """See `natural_program`; its arguments."""

    recipe: Recipe
    sampling: Sampling
    premises: Premises
    examples: str

    @property
    def scope(self) -> Scope:
        """One step."""
        return "step"

    @property
    def logprobs(self) -> int:
        """It reads the text."""
        return 0

    @property
    def sample(self) -> tuple[Turn, ...]:
        """Turns."""
        return (Turn("user", "1"),)

    def judge(
        self, problem: str, steps: Sequence[str], seeds: Seeds, before: Sequence[StepVerdict] = ()
    ) -> Program[list[StepVerdict]]:
        """Judge the last step by all votes."""
        try:
            given = "\n".join(self.premises(problem, steps))
        except InputError as error:
            raise VerdictError(str(error)) from error
        step = _statement(steps[-1])
        user = (
            f'{self.examples}Here is some information:\n"{given}"\n\nBased on the given '
            f'information, here is a reasoning process:\n"{step}"\n\n{_ASK}'
        )
        votes = [
            self._vote((Turn("user", user),), seeds(0, number))
            for number in range(self.sampling.votes)
        ]
        return [decide((yield from together(votes)), self.sampling.needed)]

    def _vote(self, turns: tuple[Turn, ...], seed: int) -> Program[Vote]:
        text = yield from ask(self.sampling.request(turns, seed))
        return Vote(float(_says_yes(text)), text.text)


def split_natural_program(text: str) -> list[str]:
    """Split a natural program in front of every ``#5. (by ...)``; what stands before goes."""
    starts = [match.start() for match in re.finditer(r"^\s*#\d+\.?\s*\(\s*by", text, re.MULTILINE)]
    ends = [*starts[1:], len(text)]  # of no step, too
    return [text[begin:end].strip() for begin, end in zip(starts, ends, strict=False)]


def cited_premises(problem: str, steps: Sequence[str]) -> list[str]:
    """Give what the last step of a natural program cites: labels of the problem and of steps.

    Raises:
        InputError: it cites nothing, or a label that is not there.
    """
    statements: dict[int, str] = {}
    for text in (problem, *steps[:-1]):
        labels = list(_LABEL.finditer(text))
        for label, following in zip(labels, [*labels[1:], None], strict=True):
            end = len(text) if following is None else following.start()
            statements[int(label[1])] = _statement(text[label.start() : end])
    cited = _CITED.search(steps[-1])
    numbers = _numbers(cited[1]) if cited else []
    unknown = [number for number in numbers if number not in statements]
    if not numbers or unknown:
        raise InputError(
            "a step that begins as '#5. (by #2 #3)', and labels of the problem and steps before it",
            got=f"#{unknown[0]}, which is not there" if unknown else repr(steps[-1][:60]),
            advice="pass premises, which says what a step rests on",
            argument="premises",
        )
    return [statements[number] for number in numbers]


def elect_verified(
    scores: StepScores,
    answer_ids: Any,
    *,
    threshold: float = 0.5,
    none_verified: Fallback = "none",
) -> VoteResult:
    """Elect an answer among the candidates whose every step is verified, by plurality.

    Args:
        scores: of the candidates of one problem.
        answer_ids: the class of each one's answer, as `stepscore.group_answers` gives it.
        threshold: a step is verified whose score, a share of votes, is above it.
        none_verified: without a verified candidate nobody is elected, or all of them vote.

    Returns:
        As `stepscore.vote` with the rule ``majority``.

    Raises:
        InputError: other classes than one whole number per candidate; an option that is none.

    Source: unanimity-plurality voting of arXiv 2306.03872.
    """
    given = np.asarray(answer_ids)
    if given.shape != (len(scores),) or not np.issubdtype(given.dtype, np.integer):
        raise InputError(
            f"one class per candidate ({len(scores)}), a whole number each",
            got=f"{given.dtype} {list(given.shape)}",
            argument="answer_ids",
            where="elect_verified",
        )
    if not is_finite(threshold):
        raise InputError(
            "a finite number", got=repr(threshold), argument="threshold", where="elect_verified"
        )
    check_choice("elect_verified", "none_verified", none_verified, Fallback)
    ids = given.astype(np.int64)
    verified = np.array([len(steps) > 0 and bool((steps > threshold).all()) for steps in scores])
    if verified.any() or none_verified == "none":
        ids[~verified] = -1
    return vote(ids, None, [0, len(ids)], "majority")


def _numbers(cited: str) -> list[int]:
    """The labels of ``#1 #3``, ``#1-#3`` or ``#1, #3-5``; none where one cannot be read."""
    numbers: list[int] = []
    for first, last in _LABELS.findall(cited):
        span = range(int(first), int(last or first) + 1)
        if not span:
            return []
        numbers += span
    return [] if _BARE.search(_LABELS.sub("", cited)) else numbers


def _statement(step: str) -> str:
    """A step without its label, its premises and its number."""
    bare = _CITED.sub("", _LABEL.sub("", step, count=1), count=1)
    return re.sub(r"Step \d+:", "", bare).strip()


def _says_yes(text: GeneratedText) -> bool:
    """Whether the last line says yes: by its last word, or by the authors' words in it.

    Raises:
        VerdictError: it says neither or both, or was cut off.
    """
    lines = [line for line in said_at_the_end(text).splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    word = _LAST.search(last)
    if word is not None:
        return word[1].lower() == "yes"
    good = _YES.search(last) is not None
    if good == (_NO.search(last) is not None or _WRONG.search(last) is not None):
        raise no_verdict(text, 'a last line with "yes" or "no"')
    return good
