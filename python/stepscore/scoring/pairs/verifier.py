"""What a family of pair-wise judges is: how two solutions are shown, and how the verdict is read.

A family is a value. `rm_r1`, `rrm`, `r1_reward`, `j1` and `pair_judge_rm` give published ones;
`pair_verifier` makes one from a prompt and a verdict, as `s2j` and `web_arbiter` do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stepscore.errors import InputError
from stepscore.policies.texts import GeneratedText, Turn
from stepscore.recipes.recipe import Confidence
from stepscore.scoring.verdicts.identity import fingerprint
from stepscore.scoring.verdicts.programs import VerdictError
from stepscore.scoring.verdicts.verdict_arguments import verdict_pattern
from stepscore.scoring.verdicts.word_verdict import refuse_strays
from stepscore.scoring.verdicts.words import said_at_the_end

_FIELDS = ("problem", "first", "second")
_QUOTED = 80  # characters of a text in a reason

# The points of the solution that is shown first: 1, 0, or 0.5 where a family knows ties.
ReadVerdict = Callable[[str], float]


@dataclass(frozen=True)
class PairVerifier:
    """A family of judges that compare two solutions.

    Attributes:
        name: the family's.
        user: the user's turn, with ``{problem}``, ``{first}`` and ``{second}`` in it.
        read: a text, without the reasoning before it -> the points of the first solution in [0, 1];
            it raises `VerdictError` where there is no verdict.
        source: where prompt and verdict are published.
        confidence: as in `Recipe`.
        unverified: what could not be verified, a sentence each.
        system: the system turn; empty for none.
        max_tokens: the most tokens of an answer.
        temperature, top_p: how the authors draw.
    """

    name: str
    user: str
    read: ReadVerdict
    source: str
    confidence: Confidence
    unverified: tuple[str, ...] = ()
    system: str = ""
    max_tokens: int = 8192
    temperature: float = 0.0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        for field in _FIELDS:
            if self.user.count(f"{{{field}}}") != 1:
                raise InputError(
                    f"a prompt with {{{field}}} once, for what is compared",
                    got=f"{self.user.count(f'{{{field}}}')} of them",
                    advice="put {problem}, {first} and {second} into it",
                    argument="prompt",
                    where=self.name,
                )
        refuse_strays(self.name, "prompt", self.user, _FIELDS)
        for name, value, good, expected in (
            ("max_tokens", self.max_tokens, self.max_tokens >= 1, "at least 1"),
            ("temperature", self.temperature, self.temperature >= 0, "0 or more"),
            ("top_p", self.top_p, 0 < self.top_p <= 1, "a number above 0, up to 1"),
        ):
            if not good:
                raise InputError(expected, got=repr(value), argument=name, where=self.name)

    @property
    def fingerprint(self) -> str:
        """Sixteen letters of prompt and reading: another prompt, or verdict, is another judge."""
        return fingerprint((self.system, self.user, self.read))

    def turns(self, problem: str, first: str, second: str) -> tuple[Turn, ...]:
        """Show two solutions of a problem."""
        texts = dict(zip(_FIELDS, (problem, first, second), strict=True))
        # One pass: braces in a solution stay what they are.
        user = re.sub(r"\{(problem|first|second)\}", lambda match: texts[match[1]], self.user)
        system = (Turn("system", self.system),) if self.system else ()
        return (*system, Turn("user", user))

    def points(self, text: GeneratedText) -> float:
        """Read the points of the solution that was shown first, in [0, 1].

        Raises:
            VerdictError: there is no verdict: the text was cut off, so that its last verdict may
                not have come; its reasoning does not end; or it has not the family's format.
        """
        points = self.read(said_at_the_end(text))
        if not 0 <= points <= 1:
            raise VerdictError(f"expected points in [0, 1]; got {points}", text.text)
        return points


def pair_verifier(
    name: str,
    *,
    prompt: str,
    verdict: str,
    points: Mapping[str, float],
    system: str = "",
    source: str = "user",
    confidence: Confidence = "author",
    unverified: tuple[str, ...] = (),
    max_tokens: int = 8192,
    temperature: float = 0.0,
    top_p: float = 1.0,
) -> PairVerifier:
    r"""Make a family from a prompt and the words of its verdict.

    Args:
        name: for messages and provenance.
        prompt: the user's turn, with ``{problem}``, ``{first}`` and ``{second}``.
        verdict: a regular expression of the verdict, whose group 1 is the word; of several matches
            behind the reasoning the last counts, and is no verdict where the group is no word: with
            ``|<answer>`` at its end one that begins so, but cannot be read, takes the others back.
        points: each word -> the points of the first solution: 1 it is better, 0 the second is, 0.5
            they are level.
        system, source, confidence, unverified, max_tokens, temperature, top_p: see `PairVerifier`.

    Raises:
        InputError: a prompt without one of the three; an expression without a group, or none;
            points outside of [0, 1], or the same of all words.

    Examples:
        >>> from stepscore.policies.texts import GeneratedText
        >>> family = pair_verifier(
        ...     "mine",
        ...     prompt="{problem}\n\nA:\n{first}\n\nB:\n{second}\n\nWhich is right?",
        ...     verdict=r"Better: (A|B|both)",
        ...     points={"A": 1, "B": 0, "both": 0.5},
        ... )
        >>> family.points(GeneratedText("At first B, but no. Better: A"))
        1.0
    """
    pattern = verdict_pattern(name, "verdict", verdict)
    if not all(0 <= value <= 1 for value in points.values()) or len(set(points.values())) < 2:
        raise InputError(
            "words with points in [0, 1], of which not all are the same",
            got=repr(dict(points)),
            argument="points",
            where=name,
        )
    known = {word: float(value) for word, value in points.items()}
    return PairVerifier(
        name,
        prompt,
        lambda text: known[last_word(text, pattern, known)],
        source,
        confidence,
        unverified,
        system,
        max_tokens,
        temperature,
        top_p,
    )


def last_word(text: str, pattern: re.Pattern[str], words: Mapping[str, float]) -> str:
    """Find the last verdict of a text.

    Raises:
        VerdictError: there is none, or it is none of the words.
    """
    matches = list(pattern.finditer(text))
    if not matches or matches[-1][1] is None:
        raise VerdictError(
            f"expected a text with {pattern.pattern!r}; got one that ends in {text[-_QUOTED:]!r}",
            text,
        )
    word = matches[-1][1].strip()
    if word not in words:
        raise VerdictError(f"expected one of {', '.join(words)}; got {word!r}", text)
    return word
