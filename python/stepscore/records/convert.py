"""Other layouts -> ours: GSM8K model solutions, Qwen's reward-model votes, RewardMATH scores."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from stepscore.files.jsonl import LineReader, WholeFile, check_different
from stepscore.ops import extract_answers
from stepscore.records.records import InputError, RecordError, load_json, quote

Converted = dict[str, Any]


def gsm8k(lines: LineReader) -> Iterator[Converted]:
    """Read ``example_model_solutions.jsonl`` of openai/grade-school-math.

    A line holds a question, its ground truth, and one solution with ``is_correct`` per generator.
    The steps are the solution's lines.
    """
    for index, (place, content) in enumerate(_objects(lines)):
        problem = _text(content, "question", place)
        solutions = {
            name: value
            for name, value in content.items()
            if isinstance(value, dict) and "solution" in value
        }
        candidates = []
        for name, value in solutions.items():
            solution = _text(value, "solution", place, within=name)
            correct = value.get("is_correct")
            if not isinstance(correct, bool):
                raise _wrong(place, f"{name}.is_correct", "true or false", correct)
            steps = [line for line in solution.split("\n") if line.strip()]
            candidates.append({"steps": steps, "generator": name, "correct": correct})
        if not candidates:
            raise _wrong(place, "the line", "solutions such as 6b_finetuning", list(content))
        truth = _text(content, "ground_truth", place)
        yield _record(f"gsm8k-{index}", problem, candidates, extract_answers([truth])[0])


def qwen_rm_maj(lines: LineReader) -> Iterator[Converted]:
    """Read a file of QwenLM/Qwen2.5-Math's ``rm_maj_eval``.

    A line holds a question, its answer ``gt``, and in parallel lists the samples' texts ``code``,
    parsed answers ``pred``, verdicts ``score`` and reward-model scores ``pred_score``.
    """
    for place, content in _objects(lines):
        problem = _text(content, "question", place)
        columns = [_list(content, name, place) for name in ("code", "pred", "score", "pred_score")]
        if len({len(column) for column in columns}) != 1:
            lengths = [len(column) for column in columns]
            raise _wrong(place, "code, pred, score, pred_score", "lists of one length", lengths)
        candidates = []
        for text, answer, correct, rewards in zip(*columns, strict=True):
            if not isinstance(rewards, list) or len(rewards) != 1:
                raise _wrong(place, "pred_score", "a list of one score per sample", rewards)
            candidates.append(
                {"text": text, "answer": answer, "score": rewards[0], "correct": correct}
            )
        if "idx" not in content:
            raise _wrong(place, "idx", "the number of the problem", None)
        yield _record(content["idx"], problem, candidates, _text(content, "gt", place))


def rewardmath(lines: LineReader) -> Iterator[Converted]:
    """Read a reward file of kimsh0507/RewardMATH_official.

    A JSON list of problems; ``score`` holds the step scores of every solution, of which the first
    is the right one. There are no texts, so that the solutions have no answers.
    """
    raw = b"".join(line for _, line in lines)
    try:
        problems = load_json(raw.decode("utf-8")) if raw else []
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{lines.name}: expected a JSON list of problems; got {error}; pass a file of "
            "RewardMATH's reward results"
        ) from error
    if not isinstance(problems, list):
        raise _wrong(lines.name, "the file", "a JSON list of problems", problems)
    for index, content in enumerate(problems):
        place = f"{lines.name}, problem {index}"
        if not isinstance(content, dict):
            raise _wrong(place, "the problem", "an object", content)
        problem = _text(content, "problem", place)
        generators = _list(content, "solution_reference", place)
        scores = _list(content, "score", place)
        if len(scores) != len(generators):
            lengths = [len(generators), len(scores)]
            raise _wrong(place, "solution_reference, score", "lists of one length", lengths)
        candidates = [
            {"step_scores": own, "generator": generator, "correct": number == 0}
            for number, (generator, own) in enumerate(zip(generators, scores, strict=True))
        ]
        yield _record(f"rewardmath-{index}", problem, candidates, None)


LAYOUTS: dict[str, Callable[[LineReader], Iterator[Converted]]] = {
    "gsm8k": gsm8k,
    "qwen_rm_maj": qwen_rm_maj,
    "rewardmath": rewardmath,
}


def convert(layout: str, source: str, target: str, *, overwrite: bool = False) -> list[str]:
    """Convert a file.

    Args:
        layout: one of `LAYOUTS`.
        source: the file, ``-`` for standard input; may end in ``.gz``.
        target: where the records are written, as JSONL.
        overwrite: whether an existing file may be replaced.

    Returns:
        What was found, one line each.

    Raises:
        InputError: a file in another layout; the message names the line.
    """
    check_different({"IN": source, "-o": target})
    problems = candidates = 0
    correct: Counter[str] = Counter()
    with WholeFile(target, overwrite=overwrite) as out, LineReader(source) as lines:
        for record in LAYOUTS[layout](lines):
            out.write(_dump(record, lines.name) + "\n")
            problems += 1
            candidates += len(record["candidates"])
            for candidate in record["candidates"]:
                correct[candidate.get("generator", "")] += candidate["correct"] is True
        if not problems:
            raise InputError(
                f"{lines.name}: expected at least one problem; got none; check the file"
            )
    found = [f"{problems:,} problems, {candidates:,} candidates, {correct.total():,} of them right"]
    # A few generators are a finding; RewardMATH's dozens are a list.
    if layout == "gsm8k":
        found += [f"  {name:<20}{count:>8,} right" for name, count in correct.items()]
    return found


def _record(
    record_id: Any, problem: str, candidates: list[dict[str, Any]], answer: str | None
) -> Converted:
    record = {"id": record_id, "problem": problem, "candidates": candidates}
    return record if answer is None else {**record, "answer": answer}


def _dump(record: Converted, name: str) -> str:
    try:
        return json.dumps(record, ensure_ascii=False, allow_nan=False)
    except ValueError as error:  # 1e999 is JSON, but no float64
        raise InputError(
            f"{name}: problem {quote(record['id'])} must hold finite numbers; got an infinite one; "
            "repair it"
        ) from error


def _objects(lines: LineReader) -> Iterator[tuple[str, dict[str, Any]]]:
    for place, line in lines:
        try:
            content = load_json(line.decode("utf-8"))
        except ValueError as error:
            raise _wrong(place, "the line", "a JSON object in UTF-8", str(error)) from error
        if not isinstance(content, dict):
            raise _wrong(place, "the line", "a JSON object", content)
        yield place, content


def _text(content: dict[str, Any], name: str, place: str, within: str = "") -> str:
    value = content.get(name)
    if not isinstance(value, str):
        raise _wrong(place, f"{within}.{name}" if within else name, "a text", value)
    return value


def _list(content: dict[str, Any], name: str, place: str) -> list[Any]:
    value = content.get(name)
    if not isinstance(value, list) or not value:
        raise _wrong(place, name, "a list of at least one item", value)
    return value


def _wrong(place: str, where: str, expected: str, got: object) -> RecordError:
    return RecordError(
        place, None, f"{where} must be {expected}; got {quote(got)}; is this the right layout?"
    )
