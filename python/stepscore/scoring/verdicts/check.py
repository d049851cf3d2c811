"""A generative PRM on a few steps: what it is asked, what comes back, and how that is read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from stepscore.errors import Argument, InputError
from stepscore.policies.texts import GeneratedText, TextPolicy, TextRequest, Turn
from stepscore.scoring.arguments import Solution, TraceArguments, check_traces, score_arguments
from stepscore.scoring.checking.prompts import about_prompt
from stepscore.scoring.checking.report import Difference, Finding, VerdictReport
from stepscore.scoring.checking.texts import about_texts
from stepscore.scoring.checking.traces import CheckTrace, built_in_traces
from stepscore.scoring.verdicts.model import GenerativeRewardModel
from stepscore.scoring.verdicts.verdict import StepVerdict

if TYPE_CHECKING:
    from stepscore.scoring.checking.verdict_logits import FullLogits

# Of the built-in traces: full stops and signs beyond ASCII; of each the first steps.
_BUILT_IN, _STEPS = (0, 6), 2
# How far a probability may lie from that of full logits, which are those of another batch.
_TOLERANCE = {"float32": 1e-4, "float16": 5e-3, "bfloat16": 4e-2}
_SHOWN = 300  # characters of an answer

Exchange = tuple[TextRequest, "GeneratedText | Exception"]


def check_verdicts(
    prm: GenerativeRewardModel,
    problems: str | Sequence[str] | None = None,
    solutions: Sequence[Solution] | None = None,
    *,
    places: Sequence[str] | None = None,
    max_tokens: int = 16,
) -> VerdictReport:
    r"""Ask a generative PRM about a few steps, and prove how its answers are read.

    Whether its verdicts are right, only labels can say. What is proven is the way to them: of a
    model of transformers, the log-probabilities that are told are compared with a plain forward
    pass of each text, alone and without a cache, :math:`|e^{l} - e^{l'}| \le t` with t = 1e-4 in
    float32; where a verdict comes, its score is made again from the first tokens of its words,
    which are looked up in the tokenizer. A server is asked about one step, and what comes back is
    shown.

    Args:
        prm: a verifier over a policy.
        problems, solutions: as in `GenerativeRewardModel.score`; None takes built-in traces. A
            server is asked about the first step of the first one alone.
        places: how the report calls the traces; None counts them.
        max_tokens: of each text that a model of transformers writes, so that a check takes no
            longer than it must; a server writes as many as it is asked for.

    Returns:
        ``report.agrees`` where answers come and are read as full logits have it; the first prompt
        as it is read, the answer to it, and what was noticed.

    Raises:
        InputError: no trace that can be asked about; what a policy can do for no request.
        RuntimeError: a server that cannot be reached.

    Examples:
        >>> from stepscore.policies.texts import GeneratedText, Token
        >>> from stepscore.scoring import verdicts
        >>> class Judge:
        ...     name = "judge"
        ...     def check_logprobs(self, count, prompt): ...
        ...     def generate(self, requests):
        ...         top = (("Yes", -0.1), ("No", -2.4))
        ...         tokens = (Token("Yes", -0.1, top), Token("}", 0.0))
        ...         return [GeneratedText("Yes}", tokens=tokens) for _ in requests]
        >>> prm = verdicts.prompted(
        ...     Judge(), prompt="{problem} {step}", pattern="(Yes|No)}", words=("Yes", "No")
        ... )
        >>> report = verdicts.check_verdicts(prm, "1 + 1?", [["2"]])
        >>> report.agrees, report.verdicts, report.answer
        (True, 1, 'Yes}')
    """
    given = _given(problems, solutions, places)
    traces, refused = _readable(prm, given)
    logits = _full_logits(prm.policy)
    asking = _Asking(prm, logits, max_tokens)
    for place, problem, steps in traces[: 1 if logits is None else None]:
        asking.ask(place, problem, steps if logits is not None else steps[:1])
    return asking.report(given, refused)


@dataclass
class _Recorder:
    """Passes requests on, and keeps them with their answers."""

    policy: TextPolicy
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.policy.name

    def generate(self, requests: Sequence[TextRequest]) -> list[GeneratedText | Exception]:
        answers = list(self.policy.generate(requests))
        self.exchanges += zip(requests, answers, strict=True)
        # A failure is what is to be shown; it ends no call.
        return [ValueError(str(a)) if isinstance(a, Exception) else a for a in answers]

    def check_logprobs(self, count: int, prompt: str | tuple[Turn, ...]) -> None:
        """Ask nothing: the answers themselves are looked at."""


@dataclass
class _Asking:
    """What was asked so far, and found.

    Attributes:
        prm: whose verifier asks.
        logits: of its policy; None of a server.
        max_tokens: of a text.
    """

    prm: GenerativeRewardModel
    logits: FullLogits | None
    max_tokens: int
    exchanges: list[Exchange] = field(default_factory=list)
    verdicts: list[StepVerdict] = field(default_factory=list)
    words: dict[str, tuple[int, ...]] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    tokens: int = 0
    largest: float = 0.0

    def ask(self, place: str, problem: str, steps: Sequence[str]) -> None:
        """Judge the steps of a trace, one after the other, by one vote each."""
        known: dict[tuple[str, tuple[str, ...]], StepVerdict] = {}
        whole = self.prm.verifier.scope in ("trace", "solution")
        for end in [len(steps)] if whole else range(1, len(steps) + 1):
            recorder = _Recorder(self.prm.policy)
            judge = replace(self.prm, policy=recorder, verifier=self._verifier())
            shown = tuple(steps[:end])
            if self.prm.verifier.scope == "solution":
                shown = (self.prm.recipe.separator.join(shown),)
            [given] = judge.judge([(problem, shown)], known)
            known[problem, shown] = given[-1]
            self.exchanges += recorder.exchanges
            self.verdicts += given if whole else given[-1:]
            self._look_at(f"{place}, step {end}", recorder.exchanges, given[-1])

    def report(
        self, given: Sequence[CheckTrace], refused: Sequence[tuple[str, str]]
    ) -> VerdictReport:
        """Put it together."""
        self._about_answers()
        prompt, said = "", ""
        if self.exchanges:
            request, answer = self.exchanges[0]
            said = str(answer) if isinstance(answer, Exception) else answer.text[-_SHOWN:]
            prompt = _by_turns(request) if self.logits is None else self.logits.rendered(request)
            if self.logits is not None:
                self.findings += about_prompt(self.prm.policy.name, self.logits, request)
        tokenizer = getattr(self.prm.policy, "tokenizer", None)
        if tokenizer is not None:
            texts = [trace.problem for trace in given], [trace.solution for trace in given]
            self.findings += about_texts(tokenizer, *texts)
        return VerdictReport(
            model=self.prm.name,
            recipe=self.prm.recipe.as_config(),
            steps=len(self.verdicts),
            verdicts=sum(verdict.fault is None for verdict in self.verdicts),
            tokens=self.tokens,
            largest=None if self.logits is None else self.largest,
            tolerance=None if self.logits is None else self._tolerance,
            prompt=prompt,
            answer=said,
            words=tuple(self.words.items()),
            differences=tuple(self.differences),
            findings=tuple(self.findings),
            refused=tuple(refused),
        )

    @property
    def _tolerance(self) -> float:
        return _TOLERANCE.get(self.prm.dtype.removeprefix("torch."), _TOLERANCE["bfloat16"])

    def _verifier(self) -> Any:
        """The verifier, which draws one vote, and where that costs time here, a short one."""
        verifier: Any = self.prm.verifier
        sampling = replace(verifier.sampling, votes=1, quorum=None)
        if self.logits is not None:
            sampling = replace(sampling, max_tokens=min(sampling.max_tokens, self.max_tokens))
        return replace(verifier, sampling=sampling)

    def _look_at(self, place: str, exchanges: Sequence[Exchange], verdict: StepVerdict) -> None:
        """Compare what was told with full logits, and a verdict with what they make of it."""
        for _, answer in exchanges:
            if isinstance(answer, Exception):
                self._differs("answer", place, f"{type(answer).__name__}: {answer}", "a text")
        if self.logits is None:
            return
        for request, answer in exchanges:
            if isinstance(answer, Exception) or not answer.tokens:
                continue
            compared, apart, where = self.logits.compare(request, answer)
            self.tokens += compared
            self.largest = max(self.largest, apart)
            if apart > self._tolerance:
                said = f"a probability {apart:.2g} away, of {where}"
                self._differs("probabilities", place, said, "that of full logits")
        self._again(place, exchanges, verdict)

    def _again(self, place: str, exchanges: Sequence[Exchange], verdict: StepVerdict) -> None:
        """Find the verdict's words in the vocabulary, and make a score again of their tokens."""
        verifier: Any = self.prm.verifier
        forms: Sequence[str] = _forms(verifier)
        if self.logits is None or not forms or not exchanges:
            return
        request, answer = exchanges[-1]
        before = _before_the_verdict(verifier, request, answer)
        tokens = self.logits.tokens_of(request, before or "", forms)
        if not self.words:
            self.words = {form: ids for form, ids in zip(forms, tokens, strict=True) if ids}
            self.findings += _about_words(verifier, forms, tokens)
        firsts = [ids[0] for ids in tokens if ids]
        if verdict.fault is not None or before is None or len({*firsts}) < len(forms):
            return
        told = self.logits.first_logprobs(request, before, firsts, request.logprobs)
        temperature = getattr(verifier, "decision_temperature", 1.0)
        weights = [math.exp(logprob / temperature) for logprob in told]
        again = math.fsum(v * w for v, w in zip(verifier.values, weights, strict=True))
        again /= math.fsum(weights)
        apart = abs(again - verdict.score)
        self.largest = max(self.largest, apart)
        if apart > self._tolerance * max(1.0, *map(abs, verifier.values)):
            self._differs("score", place, f"{verdict.score:.6g}", f"{again:.6g}, by full logits")

    def _about_answers(self) -> None:
        """Say what came back, and what did not."""
        answers = [each for _, each in self.exchanges if isinstance(each, GeneratedText)]
        asked = [(r, a) for r, a in self.exchanges if r.logprobs and isinstance(a, GeneratedText)]
        told = [len(token.top) for _, answer in asked for token in answer.tokens]
        if asked:
            count = asked[0][0].logprobs
            if not told:
                self._differs("answer", "the first answer", "none", f"{count} log-probabilities")
            else:
                enough = 2 * min(told) >= count
                self.findings.append(
                    Finding(
                        "note" if enough else "warning",
                        "log-probabilities",
                        f"of {count} likeliest tokens that are asked for, {min(told)} are told",
                    )
                )
        elif answers:
            self.findings.append(
                Finding("note", "log-probabilities", "none are asked for: the text is read")
            )
        cut = [answer for answer in answers if answer.truncated]
        missing = [verdict.fault for verdict in self.verdicts if verdict.fault is not None]
        if missing and (answers or not self.exchanges):
            here = self.logits is not None and bool(cut)
            self.findings.append(
                Finding(
                    "note" if here else "warning",
                    "verdict",
                    f"{len(missing)} of {len(self.verdicts)} steps have no verdict"
                    + (f", within {self.max_tokens} tokens of a text" if here else "")
                    + f"; the first one: {missing[0]}",
                )
            )

    def _differs(self, what: str, place: str, here: str, there: str) -> None:
        self.differences.append(Difference(what, place, None, here, there))


def _full_logits(policy: TextPolicy) -> FullLogits | None:
    """Give what reads a policy's model again; None where there is none, as of a server."""
    model, tokenizer = (getattr(policy, name, None) for name in ("model", "tokenizer"))
    if tokenizer is None or not hasattr(model, "get_output_embeddings"):
        return None
    from stepscore.scoring.checking.verdict_logits import FullLogits

    return FullLogits(model, tokenizer)


def _forms(verifier: Any) -> Sequence[str]:
    """Give the words of a verdict as they stand there; none of one that is read as a text."""
    asked = getattr(verifier, "asked", None)
    read = verifier.logprobs > 0
    forms: Sequence[str] = () if not read else asked.forms if asked else verifier.words
    return forms


def _before_the_verdict(
    verifier: Any, request: TextRequest, answer: GeneratedText | Exception
) -> str | None:
    """Give what stands before the verdict in an answer; None where it is not to be found again."""
    if isinstance(answer, Exception) or not answer.tokens:
        return None
    if getattr(verifier, "asked", None) is not None:
        return "" if request.max_tokens == 1 else None
    pattern = getattr(verifier, "pattern", None)
    matches = [] if pattern is None else list(pattern.finditer(answer.text))
    # Of several it is the verifier that chooses, and other spellings are other tokens.
    if len(matches) != 1 or matches[0][1] not in verifier.words:
        return None
    return answer.text[: matches[0].start(1)]


def _about_words(
    verifier: Any, forms: Sequence[str], tokens: Sequence[tuple[int, ...] | None]
) -> Iterator[Finding]:
    """Say what is wrong with the tokens of a verdict's words."""
    each = list(zip(forms, tokens, strict=True))
    firsts = [ids[0] for ids in tokens if ids]
    merged = [form for form, ids in each if ids is None]
    shared = [form for form, ids in each if ids and firsts.count(ids[0]) > 1]
    several = [form for form, ids in each if ids and len(ids) > 1]
    if merged:
        said = "merges with the text before it, so that no token is its own"
        yield Finding("warning", "words", f"{_listed(merged)} {said}")
    if shared:
        said = "begins with the token of another word, and cannot be told from it"
        yield Finding("warning", "words", f"{_listed(shared)} {said}")
    if several and getattr(verifier, "asked", None) is not None:
        said = "is several tokens, and is looked for as one"
        yield Finding("warning", "words", f"{_listed(several)} {said}")
    elif several:
        said = "is several tokens, of which the first one counts"
        yield Finding("note", "words", f"{_listed(several)} {said}")


def _listed(words: Sequence[str]) -> str:
    return ", ".join(map(repr, words))


def _by_turns(request: TextRequest) -> str:
    """Write what a server is sent, which lays turns out itself."""
    if isinstance(request.prompt, str):
        return request.prompt + request.prefill
    turns = [f"[{turn.role}]\n{turn.content}" for turn in request.prompt]
    return "\n".join([*turns, *([f"[assistant]\n{request.prefill}"] if request.prefill else [])])


def _given(
    problems: str | Sequence[str] | None,
    solutions: Sequence[Solution] | None,
    places: Sequence[str] | None,
) -> list[CheckTrace]:
    if solutions is None:
        every = built_in_traces()
        return [
            replace(every[index], solution=list(every[index].solution)[:_STEPS])
            for index in _BUILT_IN
        ]
    _, each, given = score_arguments("check_verdicts", problems or "", solutions)
    names = places or [f"solutions[{index}]" for index in range(len(given))]
    return [CheckTrace(*trace) for trace in zip(names, each, given, strict=True)]


def _readable(
    prm: GenerativeRewardModel, traces: Sequence[CheckTrace]
) -> tuple[list[tuple[str, str, list[str]]], list[tuple[str, str]]]:
    """Give the traces that can be asked about, and why others cannot."""
    good, refused = [], []
    arguments = TraceArguments(
        "check_verdicts",
        lambda _: Argument("problem"),
        lambda _, *step: Argument("solution", index=step),
    )
    for trace in traces:
        try:
            read = check_traces(arguments, prm.reader, [trace.problem], [trace.solution])
            good.append((trace.place, trace.problem, list(read.steps[0])))
        except InputError as fault:
            refused.append((trace.place, fault.clauses(lambda argument: argument.name)))
    if not good:
        raise InputError(
            "a trace that can be asked about",
            got=f"none of {len(traces)}" + (f"; {refused[0][0]}: {refused[0][1]}" * bool(refused)),
            advice="pass others",
            argument="solutions",
            where="check_verdicts",
        )
    return good, refused
