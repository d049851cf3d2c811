r"""GenPRM: an analysis, code that is run, and then the probability of ``\boxed{Yes}``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stepscore.errors import Argument, InputError
from stepscore.policies.texts import GeneratedText, TextPolicy, TextRequest
from stepscore.recipes import Recipe
from stepscore.scoring.verdicts.model import GenerativeRewardModel
from stepscore.scoring.verdicts.programs import Program, VerdictError, ask, together
from stepscore.scoring.verdicts.python_runner import RunCode
from stepscore.scoring.verdicts.sampling import Sampling
from stepscore.scoring.verdicts.verdict import Scope, Seeds, StepVerdict, Vote, decide
from stepscore.scoring.verdicts.verdict_arguments import check_score
from stepscore.scoring.verdicts.verdict_recipe import verdict_recipe
from stepscore.scoring.verdicts.word_verdict import check_tells
from stepscore.scoring.verdicts.words import is_settled, no_verdict, read_words

_SYSTEM = (
    "You are a math teacher. Your task is to review and critique the paragraphs in solution step "
    "by step."
)
_DIRECT_SYSTEM = (
    "You are a math teacher. Your task is to review and critique the paragraphs in solution "
    "directly. Output your judgement in the format of `\\boxed{Yes}` if the paragraph is correct, "
    "or `\\boxed{No}` if the paragraph is incorrect."
)
_ANALYZE = "<analyze>\nLet's analyze the Paragraph {} step by step: "
_VERIFY = "<verify>\nLet's use python code to find any potential error:\n```python\n"
_OUTPUT = "<output>\n**Judgement**: $\\boxed"
_ANALYZED, _OUTPUT_END, _CODE_END = "</analyze>\n", "</output>\n", "\n```\n"
_VERDICT = re.compile(r"(Yes|No)\}", re.IGNORECASE)
_CODE = re.compile(r"```python\s*(.*?)\s*```", re.DOTALL)
_LAST_TOKENS = 20  # of a verdict that is forced


def genprm(
    policy: TextPolicy,
    *,
    run_code: RunCode | None = None,
    analyze: bool = True,
    verify: bool = False,
    votes: int = 1,
    tokenizer: str | Any = None,
    rounds: int = 3,
    max_tokens: int = 2048,
    unread: float | None = None,
    seed: int = 0,
) -> GenerativeRewardModel:
    r"""GenPRM: :math:`s_k = \frac{1}{n} \sum_v p_{Yes} / (p_{Yes} + p_{No})` at the verdict.

    A step is a paragraph of the solution, and a user turn; the verifier's text about each paragraph
    before stands between them. It is forced to begin with ``<analyze>``, then ``<verify>`` with
    Python, whose output is put behind it, and ends in ``\boxed{Yes}`` or ``\boxed{No}``. Where its
    tokens or rounds of code run out, ``<output>`` is forced behind the analysis. A partner that is
    not among the 20 likeliest tokens gets the least of their probabilities.

    Args:
        policy: GenPRM's weights, such as ``GenPRM/GenPRM-7B``.
        run_code: runs the Python that the model writes, such as `PythonRunner`; nothing is run
            without it.
        analyze: begins with an analysis.
        verify: goes on with code; needs `run_code`.
        votes: texts about each step; the authors' ``majority_num``. The first one that was written
            stands between the paragraphs.
        tokenizer: lays the turns out, as the authors do, without a header of the verifier's turn;
            or the folder or repository that holds it. None takes the policy's own.
        rounds: of code, at most.
        max_tokens: of an analysis, and of analysis, code and output together.
        unread: the score of a text without a verdict; the authors have 0.5. None gives none.
        seed: of everything that is drawn; temperature 0.6, top-p 0.95 and top-k 20.

    Raises:
        InputError: code without `run_code`; no tokenizer.

    Source: RyanLiu112/GenPRM, ``src/prm_evaluation/infer_module/genprm_inference.py`` and
    ``prm_evaluate.py``.
    """
    check_tells(policy, "genprm")
    check_score("genprm", "unread", unread)
    if verify and run_code is None:
        raise InputError(
            "run_code, which runs the Python that the verifier writes",
            got="None with verify=True",
            advice=(
                "pass ",
                Argument("run_code"),
                "=PythonRunner() to run it, or ",
                Argument("verify", False),
            ),
            argument="run_code",
            where="genprm",
        )
    if isinstance(tokenizer, str):
        from stepscore.policies.huggingface_tokenizer import load_tokenizer

        tokenizer = load_tokenizer(tokenizer, None)
    tokenizer = tokenizer if tokenizer is not None else getattr(policy, "tokenizer", None)
    if getattr(tokenizer, "chat_template", None) is None:
        raise InputError(
            "a tokenizer with a chat template, because the verifier's turn begins without its "
            "header",
            got="none" if tokenizer is None else "one without a template",
            advice=("pass ", Argument("tokenizer", "GenPRM/GenPRM-7B")),
            argument="tokenizer",
            where="genprm",
        )
    sampling = Sampling(max_tokens, 0.6, 0.95, 20, votes)
    recipe = verdict_recipe(
        "genprm",
        confidence="author",
        source="https://github.com/RyanLiu112/GenPRM",
        parameters={**sampling.as_parameters(), "analyze": analyze, "verify": verify},
    )
    verifier = GenPrmVerifier(
        recipe, tokenizer, sampling, run_code, analyze, verify, rounds, unread
    )
    return GenerativeRewardModel(policy, verifier, seed)


@dataclass(frozen=True)
class GenPrmVerifier:
    """See `genprm`; its arguments."""

    recipe: Recipe
    tokenizer: Any
    sampling: Sampling
    run_code: RunCode | None
    analyze: bool
    verify: bool
    rounds: int
    unread_score: float | None

    @property
    def scope(self) -> Scope:
        """The texts about the steps before are shown."""
        return "chain"

    @property
    def logprobs(self) -> int:
        """The authors' 20."""
        return self.sampling.logprobs

    @property
    def sample(self) -> str:
        """A text: the turns are laid out here."""
        return "1"

    def judge(
        self, problem: str, steps: Sequence[str], seeds: Seeds, before: Sequence[StepVerdict]
    ) -> Program[list[StepVerdict]]:
        """Judge the last step by all votes."""
        # The first vote's text, or of the first one that was written: a policy may fail at one.
        texts = [next(filter(None, verdict.texts), "") for verdict in before]
        if not all(texts):
            raise VerdictError("there is no text about the step before, which the verifier reads")
        prompt = self.prompt(problem, steps, texts)
        earlier = [code for text in texts for code in _CODE.findall(text)]
        votes = [
            self._vote(prompt, len(steps), seeds, number, earlier)
            for number in range(self.sampling.votes)
        ]
        return [decide((yield from together(votes)), self.sampling.needed)]

    def prompt(self, problem: str, steps: Sequence[str], texts: Sequence[str]) -> str:
        """Lay the turns out; the end of the last one is removed, as the authors do."""
        system = _SYSTEM if self.analyze or self.verify else _DIRECT_SYSTEM
        turns = [{"role": "system", "content": system}]
        for number, step in enumerate(steps):
            user = f"{problem}\n{step}" if number == 0 else step
            turns.append({"role": "user", "content": user})
            if number < len(texts):
                turns.append({"role": "assistant", "content": texts[number]})
        prompt: str = self.tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=False
        )
        eos = self.tokenizer.eos_token or ""
        return (
            prompt.removesuffix(f"{eos}\n")
            if prompt.endswith(f"{eos}\n")
            else prompt.removesuffix(eos)
        )

    def _vote(
        self, prompt: str, number: int, seeds: Seeds, vote: int, earlier: Sequence[str]
    ) -> Program[Vote]:
        written, analysis, cut = "", "", False
        if self.analyze:
            written = _ANALYZE.format(number)
            text = yield from ask(self._request(prompt, seeds(0, vote), written, [_ANALYZED]))
            cut = text.truncated
            analysis = written + text.text + (text.stopped_by or "")
            written = analysis
        written += _VERIFY if self.verify else _OUTPUT
        for round_ in range(1, self.rounds + 1):
            left = self.sampling.max_tokens - self._count(written)
            if left <= 0:
                break
            stop = [_CODE_END, _OUTPUT_END] if self.verify else [_OUTPUT_END]
            text = yield from ask(self._request(prompt, seeds(round_, vote), written, stop, left))
            written += text.text + (text.stopped_by or "")
            if text.stopped_by == _OUTPUT_END or _has_verdict(text):
                return self._read(text, written, cut)
            cut |= text.truncated
            if text.truncated:
                break
            if not self.verify or self.run_code is None:
                return self._unread(text, written)
            if text.stopped_by is None and written.count("```") % 2:
                written += _CODE_END  # of a server that does not tell what stopped the text
            written += self._output_of([*earlier, *_CODE.findall(written)])
        if self.analyze:
            written = analysis.split("</analyze>")[0] + _ANALYZED + _OUTPUT
        else:
            written += "</verify>\n" + _OUTPUT
        last = self._request(
            prompt, seeds(self.rounds + 1, vote), written, [_OUTPUT_END], _LAST_TOKENS
        )
        text = yield from ask(last)
        return self._read(text, written + text.text + (text.stopped_by or ""), cut)

    def _output_of(self, blocks: Sequence[str]) -> str:
        assert self.run_code is not None
        printed = self.run_code(blocks) if blocks else "Code format error: No code found."
        return f"[Code Output]\n\n```\n{printed}\n```\n"

    def _request(
        self,
        prompt: str,
        seed: int,
        written: str,
        stop: Sequence[str],
        max_tokens: int | None = None,
    ) -> TextRequest:
        return self.sampling.request(
            prompt, seed, prefill=written, stop=stop, logprobs=True, max_tokens=max_tokens
        )

    def _count(self, text: str) -> int:
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _read(self, text: GeneratedText, whole: str, cut: bool) -> Vote:
        if not _VERDICT.search(text.text):
            return self._unread(text, whole)
        try:
            which: Literal["first", "last"] = "first" if text.truncated else "last"
            reading = read_words(text, _VERDICT, ("Yes", "No"), which=which)
        except VerdictError as error:
            raise VerdictError(str(error), whole) from error
        return Vote(reading.probabilities[0], whole, truncated=cut)

    def _unread(self, text: GeneratedText, whole: str) -> Vote:
        if "```python" in text.text and self.run_code is None:
            reason = "the verifier asks for code to be run, and run_code is None"
            raise VerdictError(reason, whole)
        if self.unread_score is None:
            raise VerdictError(str(no_verdict(text, "\\boxed{Yes} or \\boxed{No}")), whole)
        return Vote(self.unread_score, whole)


def _has_verdict(text: GeneratedText) -> bool:
    """Tell whether a text says yes or no, and would say so however it went on."""
    match = _VERDICT.search(text.text)
    return match is not None and (not text.truncated or is_settled(text, match))
