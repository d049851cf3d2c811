"""The command line: ``stepscore demo | score | rerank | vote | search | convert | bench``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import stepscore
from stepscore.files.jsonl import WholeFile
from stepscore.jobs.bench import bench_forward
from stepscore.jobs.explain import explain_rerank, explain_vote
from stepscore.jobs.rerank import describe
from stepscore.jobs.run import (
    CHUNK_OF_SCORES,
    CHUNK_WITH_MODEL,
    Files,
    Report,
    rerank_file,
    score_file,
    vote_file,
)
from stepscore.jobs.search import PROBLEMS_TOGETHER, Models, SearchJob, search_file
from stepscore.jobs.step_scores import GIVEN, Truncation
from stepscore.ops.aggregate import AGGREGATIONS
from stepscore.records.convert import LAYOUTS, convert
from stepscore.records.records import Fields, InputError
from stepscore.report.prefixes import parse_prefixes
from stepscore.search.strategies import STRATEGIES
from stepscore.voting.rules import DEFAULT_RULES, Poll, parse_objectives, parse_rules

if TYPE_CHECKING:
    from stepscore.scoring import ProcessRewardModel

BAD_INPUT = 2
UNWRITABLE = 1
INTERRUPTED = 130  # as a shell reports Ctrl-C

_DESCRIPTION = """\
Score the reasoning steps of language models with process reward models (PRMs), rerank
candidate solutions, and vote on their answers.
"""
_EXAMPLES = """\
examples:
  stepscore demo                                        see it work; nothing to prepare
  stepscore rerank in.jsonl -o out.jsonl --model lab    score, rank and vote
  stepscore vote scored.jsonl                           vote on scores that are in the file
  stepscore search in.jsonl -o out.jsonl --policy lab --model lab --strategy beam

Every command has its own help: stepscore rerank --help
"""
_INPUT = """\
input: one JSON object per line (JSONL; .gz and "-" for standard input work too)
  {"id": 1, "problem": "...", "candidates": ["a solution", {"steps": ["...", "..."]}],
   "answer": "the known answer, if there is one"}
A candidate is a text, or an object with "text" or "steps", and optionally "answer" (else it is
read from the solution) and "correct" (true or false).

output: the same objects with one more field, "stepscore". It appears whole or not at all.
"""
_RULES = """
rules of --rule, with their parameters; [those] can be left out:
  majority   weighted   weighted_mean   best_of_n   minmax_weighted   confidence_weighted   pareto
  softmax_weighted:temperature=0.1
  logodds_weighted[:eps=1e-7]
  loglik_weighted:prior=0.5,reliability=0.6,answers=10[,eps=1e-7]
  borda[:power=2]
  hybrid_majority_reward:tau=0.5,consensus=share|entropy,reward=max|mean|sum
  weighted_reward_frequency:reward_weight=0.5,normalize=minmax|sum
  multi_objective:objective_weights=0.5:0.3:0.2,scale=none|minmax
The formulas stand in the manual of stepscore.vote.
"""
_SCORE_EXAMPLES = """
examples:
  stepscore score in.jsonl -o scored.jsonl --model Qwen/Qwen2.5-Math-PRM-7B
  stepscore score in.jsonl -o scored.jsonl --model ./my-prm --recipe trl-prm --on-error skip
  stepscore vote scored.jsonl                           votes and table, later, without a model
"""
_RERANK_EXAMPLES = """
examples:
  stepscore demo --save lab.jsonl                       an input to try it with
  stepscore rerank lab.jsonl -o out.jsonl --model lab
  stepscore rerank in.jsonl -o out.jsonl --model Qwen/Qwen2.5-Math-PRM-7B --how prod
  stepscore rerank lab.jsonl -o out.jsonl --model lab --rule majority --rule borda
  stepscore rerank lab.jsonl --model lab --explain lab-7     why, of one problem
"""
_VOTE = """\
input: one JSON object per line (JSONL; .gz and "-" for standard input work too)
  {"id": 1, "candidates": [{"answer": "42", "score": 0.9}, {"answer": "41", "score": 0.2}]}
  {"id": 1, "candidates": [{"text": "...", "step_scores": [0.9, 0.2]}], "answer": "the known one"}
Every candidate carries "score" (one number) or "step_scores" (a list), the same of the two in the
whole file; or the file was written by stepscore score or rerank, and its step scores are used.
The result takes the place of an earlier one.
"""
_VOTE_EXAMPLES = """
examples:
  stepscore vote scored.jsonl                           the table alone
  stepscore vote scored.jsonl -o voted.jsonl --how min
  zcat scored.jsonl.gz | stepscore vote - --id-field uid
  stepscore vote scored.jsonl --rule majority --rule softmax_weighted:temperature=0.1
  stepscore vote scored.jsonl --rule pareto --objectives min,last,mean
  stepscore vote scored.jsonl --prefixes 1,2,4,8        what more candidates are worth
  stepscore vote scored.jsonl --explain 17              why each rule chooses what it does
"""
_CONVERT = """\
layouts:
  gsm8k         example_model_solutions.jsonl of openai/grade-school-math
  qwen_rm_maj   a rm_maj_eval file of QwenLM/Qwen2.5-Math: samples with reward-model scores
  rewardmath    a reward file of kimsh0507/RewardMATH_official: step scores without texts

examples:
  stepscore convert qwen_rm_maj math_cot_100.jsonl -o qwen.jsonl
  stepscore vote qwen.jsonl
"""
_BENCH = """\
input: that of stepscore score. Nothing is written.

Tokenising, planning, the forward passes and reading the head are timed one after the other, warm,
and compared with the bare forward: the same backbone over as many random tokens as the traces have
unique ones, in rows of one length, without padding, repeats or a head.

examples:
  stepscore bench forward in.jsonl --model Qwen/Qwen2.5-Math-PRM-7B --limit 20
  stepscore bench forward in.jsonl --model ./my-prm --token-budget 4096 --json
"""
_SEARCH = """\
input: one JSON object per line (JSONL; .gz and "-" for standard input work too)
  {"id": 1, "problem": "...", "answer": "the known answer, if there is one"}
output: the same objects with one more field, "stepscore": the answer and the text that won, all
traces with their step scores, and what they cost. It appears whole or not at all.

policies: lab, the built-in miniature; a folder or a Hugging Face repository of a causal language
model; or the URL of an OpenAI-compatible server with --policy-model NAME (its key is taken from
OPENAI_API_KEY).

The models' answers are kept in the folder OUT.journal while the search runs: when it is stopped,
the same command goes on where it was.

A file of --config is YAML with the long names of options as its keys; the command line overrides:
  strategy: beam
  set: {n: 16, m: 4}
  tokens: 20000

examples:
  stepscore demo --save lab.jsonl                       an input to try it with
  stepscore search lab.jsonl -o out.jsonl --policy lab --model lab --strategy beam --set n=16
  stepscore search lab.jsonl -o out.jsonl --policy lab --model lab --strategy mcts \\
      --set select=uct --set simulations=50 --max-nodes 300 --tree lab-7:tree.html
  stepscore search in.jsonl -o out.jsonl --policy http://localhost:8000/v1 \\
      --policy-model Qwen/Qwen2.5-Math-7B-Instruct --model Qwen/Qwen2.5-Math-PRM-7B \\
      --strategy rebase --set width=16 --how prod
"""
_SEARCH_SETTINGS = (
    "seed",
    "samples",
    "tokens",
    "prm_tokens",
    "max_nodes",
    "temperature",
    "max_tokens",
    "max_step_tokens",
    "how",
    "rule",
    "groups",
    "retries",
    "timeout",
)
_DEMO = """\
A tiny language model that is part of the package solves arithmetic problems that neither it nor
the PRM has seen. It was taught to forget carries now and then, so that its wrong answers agree with
each other and mislead a majority. A tiny PRM, also part of the package, scores every step.

examples:
  stepscore demo
  stepscore demo --problems 100 --samples 64 --seed 1
  stepscore demo --save lab.jsonl                       keep the samples, as an input of rerank
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments; None takes those of the process.

    Returns:
        The exit code: 0, 1 where standard output cannot be written, 2 for bad input or arguments,
        130 after Ctrl-C.
    """
    parser = _parser()
    try:
        arguments = parser.parse_args(_with_config(sys.argv[1:] if argv is None else argv))
    except InputError as error:
        _complain(f"stepscore search: error: {error}")
        return BAD_INPUT
    if arguments.command is None:
        parser.print_help()
        return BAD_INPUT
    name = f"stepscore {arguments.command}"
    try:
        with _unwinding_on_termination():
            arguments.run(arguments)
    except InputError as error:
        _complain(f"{name}: error: {error}")
        return BAD_INPUT
    except KeyboardInterrupt:
        _complain(f"{name}: stopped; no output was written")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of the table has gone, as after "| head"; Python would complain at its exit.
        _silence_output()
    except _OutputError as error:
        _complain(f"{name}: error: {error}")
        return UNWRITABLE
    return 0


class _OutputError(Exception):
    """Standard output that cannot be written."""

    def __init__(self, got: str) -> None:
        super().__init__(
            f"standard output: expected to write the table; got: {got}; free some space, or send "
            "it elsewhere"
        )


def _demo(arguments: argparse.Namespace) -> None:
    # Only here: the lab's policy needs torch.
    try:
        from stepscore.hub import silenced_hub
        from stepscore.jobs.demo import run_demo, save, show
        from stepscore.lab.policy import load_policy
    except ModuleNotFoundError as error:
        raise _torch_missing(error) from error

    # A file that may not be written is found out before the sampling.
    saved = arguments.save and WholeFile(arguments.save, overwrite=arguments.overwrite)
    try:
        with silenced_hub():
            policy = load_policy()
    except (ValueError, OSError) as error:
        raise InputError(
            f"expected the built-in policy beside the package; got: {error}; install it again"
        ) from error
    model = _load("lab")
    demo = run_demo(
        policy,
        model,
        problems=arguments.problems,
        samples=arguments.samples,
        seed=arguments.seed,
    )
    _say(show(demo))
    if saved:
        save(demo, saved)
    name = arguments.save or "lab.jsonl"
    _say(
        [
            "",
            "How to read it: every row turns a solution's step scores into one number, and every",
            "column chooses an answer with it; where a figure beats majority, the PRM knows what",
            "counting does not.",
            "",
            "What to type next:",
            *([] if saved else [f"  stepscore demo --save {name}"]),
            f"  stepscore rerank {name} -o ranked.jsonl --model lab",
            "  stepscore rerank --help        the same for your own samples and a published PRM",
        ]
    )


def _score(arguments: argparse.Namespace) -> None:
    report = score_file(
        _files(arguments),
        lambda: _load_as_told(arguments),
        truncation="steps" if arguments.truncate else "error",
        version=stepscore.__version__,
    )
    _finish(arguments, report)


def _rerank(arguments: argparse.Namespace) -> None:
    poll = _poll(arguments)
    truncation: Truncation = "steps" if arguments.truncate else "error"

    def load() -> ProcessRewardModel:
        return _load_as_told(arguments)

    if arguments.explain is not None:
        _say(
            explain_rerank(
                _files_to_explain(arguments),
                arguments.explain,
                load,
                how=arguments.how,
                truncation=truncation,
                poll=poll,
            )
        )
        return
    if arguments.output is None:
        raise InputError(
            "expected -o OUT, where the result is written, or --explain ID; got neither; add one"
        )
    report = rerank_file(
        _files(arguments),
        load,
        how=arguments.how,
        poll=poll,
        prefixes=_prefixes(arguments),
        truncation=truncation,
        version=stepscore.__version__,
    )
    _finish(arguments, report)


def _vote(arguments: argparse.Namespace) -> None:
    bounded = {"auto": None, "probability": True, "any": False}[arguments.score_range]
    poll = _poll(arguments)
    if arguments.explain is not None:
        _say(
            explain_vote(
                _files_to_explain(arguments),
                arguments.explain,
                how=arguments.how,
                bounded=bounded,
                poll=poll,
            )
        )
        return
    report = vote_file(
        _files(arguments),
        how=arguments.how,
        poll=poll,
        prefixes=_prefixes(arguments),
        bounded=bounded,
        version=stepscore.__version__,
    )
    _finish(arguments, report)


def _poll(arguments: argparse.Namespace) -> Poll:
    rules = parse_rules(arguments.rule) if arguments.rule else DEFAULT_RULES
    objectives = parse_objectives(arguments.objectives, rules)
    if arguments.verify == "none":
        return Poll(rules, objectives)
    # Only here: most votes need no processes and no database of verdicts.
    from stepscore import verifier

    if not verifier.installed():
        raise InputError(
            "--verify math-verify: expected that package; it is not installed; type: pip install "
            '"stepscore[math]"'
        )
    return Poll(rules, objectives, arguments.verify)


def _prefixes(arguments: argparse.Namespace) -> tuple[int, ...]:
    return () if arguments.prefixes is None else parse_prefixes(arguments.prefixes)


def _files_to_explain(arguments: argparse.Namespace) -> Files:
    for option in ("output", "skipped", "prefixes", "quiet", "chunk_size"):
        if getattr(arguments, option):
            name = "-o" if option == "output" else f"--{option.replace('_', '-')}"
            raise InputError(
                f"--explain: expected nothing that belongs to the whole file; got {name}; leave "
                "it out: one problem is printed, and nothing is written"
            )
    return _files(arguments)


def _bench(arguments: argparse.Namespace) -> None:
    cost = bench_forward(
        arguments.input,
        lambda: _load_as_told(arguments),
        limit=arguments.limit,
        fields=Fields(
            id=arguments.id_field,
            problem=arguments.problem_field,
            candidates=arguments.candidates_field,
        ),
        truncation="steps" if arguments.truncate else "error",
    )
    _say([json.dumps(cost.as_json())] if arguments.json else cost.lines())


def _search(arguments: argparse.Namespace) -> None:
    if arguments.truncate:
        raise InputError(
            "--truncate: expected to score every step of a trace; a search needs the value of its "
            "last one; leave it out"
        )
    settings = {name: getattr(arguments, name) for name in _SEARCH_SETTINGS}
    job = SearchJob(
        source=arguments.input,
        target=arguments.output,
        strategy=arguments.strategy,
        parameters=dict(_pair("--set", text, "=", "NAME=VALUE") for text in arguments.set),
        settings={
            **{name: value for name, value in settings.items() if value is not None},
            "stop": tuple(_unescaped(text) for text in arguments.stop),
        },
        trees=dict(_pair("--tree", text, ":", "ID:FILE.html") for text in arguments.tree),
        overwrite=arguments.overwrite,
        restart=arguments.restart,
        on_error=arguments.on_error,
        skipped=arguments.skipped,
        fields=Fields(
            id=arguments.id_field,
            problem=arguments.problem_field,
            answer=arguments.answer_field,
            result=arguments.result_field,
        ),
        chunk_size=arguments.chunk_size,
    )
    try:
        report = search_file(job, lambda: _load_models(arguments), version=stepscore.__version__)
    except (KeyboardInterrupt, SystemExit):
        _complain(
            f"the models' answers are kept in {arguments.output}.journal; type the same command "
            "to go on"
        )
        raise
    for line in report.skipped:
        _complain(line)
    if not arguments.quiet:
        _say(report.table)
        _complain(f"{report.rate()}; written to {arguments.output}")


def _pair(option: str, text: str, sign: str, shape: str) -> tuple[str, str]:
    # A name holds no sign of "=", but an id may hold one of ":".
    first, found, second = text.partition(sign) if sign == "=" else text.rpartition(sign)
    if not (first and found and second):
        raise InputError(f"{option} {text}: expected {shape}; got no {sign!r} between two texts")
    return first, second


def _unescaped(text: str) -> str:
    return text.replace("\\n", "\n").replace("\\t", "\t")


def _load_models(arguments: argparse.Namespace) -> Models:
    name = arguments.policy
    is_url = name.startswith(("http://", "https://"))
    if is_url != (arguments.policy_model is not None):
        raise InputError(
            "--policy-model: expected it with a --policy that is a URL, and with no other; got "
            f"--policy {name}; {'add --policy-model NAME' if is_url else 'leave it out'}"
        )
    told = {"policy": name, "policy_model": arguments.policy_model, "top_p": arguments.top_p}
    described = {key: value for key, value in told.items() if value is not None}
    scorer = None
    if arguments.model is not None:
        # Only here: scorers are for those who search.
        from stepscore.search.scorers import PrmScorer

        prm = _load_as_told(arguments)
        scorer = PrmScorer(prm)
        described |= describe(prm, stepscore.__version__)
        del described["aggregation"]
    try:
        from stepscore import policies

        if is_url:
            extra = {} if arguments.top_p is None else {"top_p": arguments.top_p}
            policy: Any = policies.EndpointPolicy(
                name,
                arguments.policy_model,
                concurrency=arguments.concurrency,
                extra=extra,
                **({"stop": [_unescaped(one) for one in arguments.stop]} if arguments.stop else {}),
            )
        elif name == "lab":
            policy = policies.LabPolicy()
        else:
            policy = policies.HuggingFacePolicy.load(
                name,
                device=arguments.device,
                dtype=arguments.dtype,
                revision=arguments.policy_revision,
                top_p=1.0 if arguments.top_p is None else arguments.top_p,
            )
    except ModuleNotFoundError as error:
        raise _torch_missing(error) from error
    except Exception as error:  # as in _load
        kind = "" if isinstance(error, (ValueError, TypeError)) else f"{type(error).__name__}: "
        raise InputError(f"--policy {name}: {kind}{error}") from error
    return Models(policy, scorer, described, None if scorer is None else scorer.release)


def _with_config(argv: Sequence[str]) -> list[str]:
    """Put what the file of --config says before the other options of ``search``."""
    given = list(argv)
    if given[:1] != ["search"]:
        return given
    scout = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    scout.add_argument("--config")
    path = scout.parse_known_args(given[1:])[0].config
    if path is None:
        return given
    try:
        from yaml import YAMLError, safe_load
    except ModuleNotFoundError as error:
        raise InputError(
            f"--config {path}: expected PyYAML, which reads it; got: {error}; type: pip install "
            "pyyaml"
        ) from error
    try:
        with open(path, encoding="utf-8") as file:
            read = safe_load(file)
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise InputError(
            f"--config {path}: expected a file of YAML; got: {reason}; check it"
        ) from error
    if not isinstance(read, dict):
        raise InputError(
            f"--config {path}: expected names of options with their values; got "
            f"{type(read).__name__}; write lines such as 'strategy: beam'"
        )
    options: list[str] = []
    for key, value in read.items():
        name = f"--{str(key).replace('_', '-')}"
        values = value if isinstance(value, list) else [value]
        if isinstance(value, dict):
            sign = ":" if name == "--tree" else "="
            values = [f"{one}{sign}{of}" for one, of in value.items()]
        for one in values:
            if one is True:
                options.append(name)
            elif one is not None and one is not False:
                options.append(f"{name}={one}")
    return ["search", *options, *given[1:]]


def _convert(arguments: argparse.Namespace) -> None:
    found = convert(
        arguments.layout, arguments.input, arguments.output, overwrite=arguments.overwrite
    )
    follow = "rerank" if arguments.layout == "gsm8k" else "vote"
    rest = " -o OUT --model MODEL" if follow == "rerank" else ""
    _say(
        [
            *found,
            f"written to {arguments.output}; next: stepscore {follow} {arguments.output}{rest}",
        ]
    )


def _finish(arguments: argparse.Namespace, report: Report) -> None:
    for line in report.skipped:
        _complain(line)
    if arguments.quiet:
        return
    # The rate and where the output stands are for a person; the table may go into a file.
    _say(report.table)
    written = f"; written to {arguments.output}" if arguments.output else ""
    _complain(f"{report.rate()}{written}")


def _files(arguments: argparse.Namespace) -> Files:
    if arguments.skipped is not None and arguments.on_error != "skip":
        raise InputError(
            "--skipped: expected --on-error skip beside it; got stop, which skips nothing; add it, "
            "or leave --skipped out"
        )
    return Files(
        source=arguments.input,
        target=arguments.output,
        overwrite=arguments.overwrite,
        on_error=arguments.on_error,
        skipped=arguments.skipped,
        fields=Fields(
            id=arguments.id_field,
            problem=arguments.problem_field,
            candidates=arguments.candidates_field,
            answer=arguments.answer_field,
            result=arguments.result_field,
        ),
        chunk_size=arguments.chunk_size,
    )


def _load_as_told(arguments: argparse.Namespace) -> ProcessRewardModel:
    recipe: Any = arguments.recipe
    if arguments.separator is not None:
        if recipe != "trl-prm":
            raise InputError(
                "--separator: expected --recipe trl-prm, the one recipe that has a choice; "
                f"got --recipe {recipe}; leave --separator out"
            )
        from stepscore.recipes import trl_prm

        recipe = trl_prm(arguments.separator.replace("\\n", "\n").replace("\\t", "\t"))
    return _load(
        arguments.model,
        recipe=recipe,
        device=arguments.device,
        dtype=arguments.dtype,
        revision=arguments.revision,
        max_length=arguments.max_length,
        token_budget=arguments.token_budget,
    )


def _load(model: str, **options: Any) -> ProcessRewardModel:
    try:
        loaded: ProcessRewardModel = stepscore.load(model, **options)
    except ModuleNotFoundError as error:
        raise _torch_missing(error) from error
    # A damaged checkpoint fails in whichever library reads it, each with classes of its own.
    except Exception as error:
        kind = "" if isinstance(error, (ValueError, TypeError)) else f"{type(error).__name__}: "
        raise InputError(f"--model {model}: {kind}{error}") from error
    # A download shows its own bar; after that there is one bar, over the file.
    return dataclasses.replace(loaded, show_progress=False)


def _torch_missing(error: ModuleNotFoundError) -> InputError:
    return InputError(
        f"expected torch and transformers, which run the models; got: {error}; type: pip install "
        '"stepscore[hf]"'
    )


def _say(lines: Sequence[str]) -> None:
    if sys.stdout is None:  # as after ">&-"
        raise _OutputError("it is closed")
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        _silence_output()
        raise _OutputError(error.strerror or str(error)) from error


def _silence_output() -> None:
    """Send what is left in the buffer nowhere, or Python complains about it at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(line: str) -> None:
    # What could not be decoded must not make the message about it fail.
    print(line.encode("utf-8", "backslashreplace").decode(), file=sys.stderr)


@contextmanager
def _unwinding_on_termination() -> Iterator[None]:
    """Let SIGTERM and SIGHUP remove half-written files on their way, as Ctrl-C does."""
    # Only the main thread may set handlers.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    earlier = {name: signal.signal(getattr(signal, name), _leave) for name in names}
    try:
        yield
    finally:
        for name, handler in earlier.items():
            signal.signal(getattr(signal, name), handler)


def _leave(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stepscore",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"stepscore {stepscore.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _add_demo(commands)
    _add_score(commands)
    _add_rerank(commands)
    _add_vote(commands)
    _add_search(commands)
    _add_convert(commands)
    _add_bench(commands)
    return parser


def _add_demo(commands: Any) -> None:
    parser = _command(commands, "demo", _demo, "watch a PRM at work, live", _DEMO)
    parser.add_argument("--problems", type=_positive, default=100, help="how many (default: 100)")
    parser.add_argument(
        "--samples", type=_positive, default=16, help="solutions of each (default: 16)"
    )
    parser.add_argument("--seed", type=int, default=0, help="another draw (default: 0)")
    parser.add_argument("--save", metavar="FILE", help="write the samples as an input of rerank")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing FILE")


def _add_score(commands: Any) -> None:
    parser = _command(
        commands,
        "score",
        _score,
        "write the step scores and all aggregations",
        _INPUT + _SCORE_EXAMPLES,
    )
    _add_files(parser, output=None, chunk_size=CHUNK_WITH_MODEL)
    _add_model(parser)


def _add_rerank(commands: Any) -> None:
    parser = _command(
        commands,
        "rerank",
        _rerank,
        "score, rank, group answers and vote; then a table",
        _INPUT + _RULES + _RERANK_EXAMPLES,
    )
    _add_files(
        parser,
        output="the JSONL to write; required but for --explain",
        chunk_size=CHUNK_WITH_MODEL,
    )
    parser.add_argument(
        "--how",
        choices=AGGREGATIONS,
        metavar="AGG",
        help="the aggregation that ranks (default: the model author's, else last): "
        + ", ".join(AGGREGATIONS),
    )
    _add_poll(parser)
    _add_model(parser)


def _add_vote(commands: Any) -> None:
    parser = _command(
        commands,
        "vote",
        _vote,
        "rank and vote on scores that are in the file",
        _VOTE + _RULES + _VOTE_EXAMPLES,
    )
    _add_files(
        parser, output="the JSONL to write (default: only the table)", chunk_size=CHUNK_OF_SCORES
    )
    choices = (*AGGREGATIONS, GIVEN)
    parser.add_argument(
        "--how",
        choices=choices,
        metavar="AGG",
        help="the aggregation that ranks (default: the one that rerank used, else the file's "
        "score, else last): " + ", ".join(choices),
    )
    parser.add_argument(
        "--score-range",
        choices=("auto", "probability", "any"),
        default="auto",
        help="whether step scores lie in [0, 1], which prod, geometric_mean, logit_mean and "
        "odds_mean need (default: auto, the first record tells)",
    )
    _add_poll(parser)


def _add_poll(parser: argparse.ArgumentParser) -> None:
    votes = parser.add_argument_group("votes")
    votes.add_argument(
        "--rule",
        action="append",
        metavar="RULE",
        help="NAME[:PARAM=VALUE[,PARAM=VALUE]], a column of the table; again for another (default: "
        "majority, weighted, best_of_n); the list stands below",
    )
    votes.add_argument(
        "--objectives",
        metavar="AGG[,AGG]",
        help="the aggregations that pareto (default: all) and multi_objective read together",
    )
    votes.add_argument(
        "--verify",
        choices=("none", "math-verify"),
        default="none",
        help="what decides on answers whose keys differ: none (default), or math-verify, which "
        "finds that x+1 and 1+x are equal",
    )
    votes.add_argument(
        "--prefixes",
        metavar="N[,N]",
        help='a second table, of the first N candidates of every problem: sizes, or "powers" of 2',
    )
    votes.add_argument(
        "--explain",
        metavar="ID",
        help="print one problem, and why each rule chooses what it does; nothing is written",
    )


def _add_search(commands: Any) -> None:
    parser = _command(commands, "search", _search, "let a policy search, guided by a PRM", _SEARCH)
    parser.add_argument("input", metavar="IN", help='JSONL, .gz, or "-"')
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="the JSONL to write")
    parser.add_argument("--config", metavar="FILE", help="YAML with any of these options")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument(
        "--restart", action="store_true", help="forget what a stopped run has kept in OUT.journal"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no table")
    parser.add_argument(
        "--tree",
        action="append",
        default=[],
        metavar="ID:FILE.html",
        help="write the tree of a problem as a page; again for another",
    )
    how = parser.add_argument_group("search")
    how.add_argument(
        "--strategy", required=True, metavar="NAME", help="one of: " + ", ".join(STRATEGIES)
    )
    how.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the strategy; again for another (a wrong name lists them)",
    )
    how.add_argument("--seed", type=_seed, default=0, help="another draw (default: 0)")
    for name, what in (
        ("samples", "continuations of a problem at most"),
        ("tokens", "generated tokens of a problem: beyond, it draws no more"),
        ("prm-tokens", "tokens of a problem that the PRM may read"),
        ("max-nodes", "nodes of a tree at most (default: --samples + 1, else 2048)"),
        ("max-tokens", "tokens of a response at most (default: 2048)"),
        ("max-step-tokens", "tokens of a continuation at most (default: 512)"),
        ("groups", "more than 1: policy and PRM work at the same time (default: 1)"),
        ("retries", "how often a failed call is repeated (default: 2)"),
    ):
        how.add_argument(f"--{name}", type=_positive, metavar="N", help=what)
    how.add_argument("--temperature", type=float, metavar="T", help="(default: 0.8)")
    how.add_argument("--timeout", type=float, metavar="S", help="seconds of a call of a model")
    how.add_argument(
        "--stop",
        action="append",
        default=[],
        metavar="TEXT",
        help=r"what ends a step, such as \n\n; again for another (default: the policy's own)",
    )
    how.add_argument(
        "--how",
        choices=AGGREGATIONS,
        metavar="AGG",
        help="step scores to one (default: the strategy's own): " + ", ".join(AGGREGATIONS),
    )
    how.add_argument(
        "--rule", metavar="RULE", help="the vote that chooses (default: the strategy's own)"
    )
    policy = parser.add_argument_group("policy")
    policy.add_argument(
        "--policy", required=True, help='"lab", a folder, a Hugging Face repository, or a URL'
    )
    policy.add_argument("--policy-model", metavar="NAME", help="with a URL: the model's name there")
    policy.add_argument("--policy-revision", metavar="REV", help="of a Hugging Face repository")
    policy.add_argument(
        "--top-p", type=float, metavar="P", help="draw from the likeliest tokens (default: 1)"
    )
    policy.add_argument(
        "--concurrency",
        type=_positive,
        default=32,
        metavar="N",
        help="with a URL: requests at a time (default: 32)",
    )
    faults = parser.add_argument_group("bad records")
    faults.add_argument(
        "--on-error",
        choices=("stop", "skip"),
        default="stop",
        help="stop at the first (default), or leave them out, count and list them",
    )
    faults.add_argument(
        "--skipped", metavar="FILE", help="with skip: write all of them there, with the reasons"
    )
    names = parser.add_argument_group("names of the fields")
    for name, default, what in (
        ("id", "id", "unique per record"),
        ("problem", "problem", "the problem's text"),
        ("answer", "answer", "the known answer"),
        ("result", "stepscore", "what is added to every record"),
    ):
        names.add_argument(
            f"--{name}-field",
            default=default,
            metavar="NAME",
            help=f"{what} (default: {default})",
        )
    parser.add_argument(
        "--chunk-size",
        type=_positive,
        metavar="N",
        help=f"problems searched together (default: {PROBLEMS_TOGETHER})",
    )
    _add_model(parser, required=False)


def _add_convert(commands: Any) -> None:
    parser = _command(
        commands, "convert", _convert, "turn a published layout into the input of rerank", _CONVERT
    )
    parser.add_argument("layout", choices=tuple(LAYOUTS), metavar="LAYOUT", help=", ".join(LAYOUTS))
    parser.add_argument("input", metavar="IN", help="the file")
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="the JSONL to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing OUT")


def _add_bench(commands: Any) -> None:
    parser = _command(commands, "bench", _bench, "time the forward passes of your own file", _BENCH)
    parser.add_argument("what", choices=("forward",), help="the forward passes")
    parser.add_argument("input", metavar="IN", help='JSONL, .gz, or "-"')
    parser.add_argument("--limit", type=_positive, metavar="N", help="the first N records alone")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    names = parser.add_argument_group("names of the fields")
    for name in ("id", "problem", "candidates"):
        names.add_argument(
            f"--{name}-field", default=name, metavar="NAME", help=f"(default: {name})"
        )
    _add_model(parser)


def _command(
    commands: Any, name: str, run: Any, summary: str, epilog: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _add_files(parser: argparse.ArgumentParser, *, output: str | None, chunk_size: int) -> None:
    """Add what all commands over files share; without words about its output, it is required."""
    parser.add_argument("input", metavar="IN", help='JSONL, .gz, or "-"')
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=output is None,
        help=output or "the JSONL to write",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument("-q", "--quiet", action="store_true", help="no table")
    faults = parser.add_argument_group("bad records")
    faults.add_argument(
        "--on-error",
        choices=("stop", "skip"),
        default="stop",
        help="stop at the first (default), or leave them out, count and list them",
    )
    faults.add_argument(
        "--skipped", metavar="FILE", help="with skip: write all of them there, with the reasons"
    )
    names = parser.add_argument_group("names of the fields")
    for name, what in (
        ("id", "unique per record"),
        ("problem", "the problem's text"),
        ("candidates", "the list of candidates"),
        ("answer", "the known answer"),
    ):
        names.add_argument(
            f"--{name}-field", default=name, metavar="NAME", help=f"{what} (default: {name})"
        )
    names.add_argument(
        "--result-field",
        default="stepscore",
        metavar="NAME",
        help="what is added to every record (default: stepscore)",
    )
    parser.add_argument(
        "--chunk-size",
        type=_positive,
        metavar="N",
        help=f"candidates worked on together, up to whole problems (default: {chunk_size})",
    )


def _add_model(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model",
        required=required,
        help='a folder, a Hugging Face repository, or "lab", the built-in miniature',
    )
    model.add_argument("--recipe", help="how the model is read (default: detected)")
    model.add_argument(
        "--separator",
        metavar="TEXT",
        help=r'with --recipe trl-prm: what ends a step, such as "\n\n"',
    )
    model.add_argument("--device", help="such as cpu or cuda:0 (default: cuda where it is usable)")
    model.add_argument("--dtype", help="float32, float16 or bfloat16")
    model.add_argument("--revision", help="branch, tag or commit of a Hugging Face repository")
    model.add_argument(
        "--max-length", type=_positive, metavar="L", help="the most tokens of a trace"
    )
    model.add_argument(
        "--token-budget", type=_positive, metavar="B", help="the most tokens of a batch"
    )
    model.add_argument(
        "--truncate",
        action="store_true",
        help="score the steps that fit of a trace that is too long; the others get null",
    )


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 2^63 - 1; got {text!r}")
    return int(text)


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1; got {text!r}")
    return number
