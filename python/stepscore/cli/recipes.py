"""``stepscore recipes``."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from stepscore.cli import options
from stepscore.cli.families import TypedFamily, typed_family
from stepscore.cli.models import add_model_name, add_revision, not_loaded
from stepscore.cli.recipe_options import typed_recipe
from stepscore.cli.terminal import say
from stepscore.errors import Argument, InputError
from stepscore.jobs.recipes import render_file, render_given
from stepscore.report.recipes import (
    argument_lines,
    recipe_lines,
    recipe_list,
    trace_json,
    trace_lines,
)

if TYPE_CHECKING:
    from stepscore.scoring.generative import GenerativeFamily

SUMMARY = "list how published PRMs are read, and show it on a trace"
HELP = r"""Without more, what --recipe and --judge can name: who confirms it, and what has a score.

With show, how one of them reads, and its arguments; they are given as NAME:ARG=VALUE,ARG=VALUE,
here as in --recipe. In a value, \n, \t, \, and \\ are a newline, a tab, a comma and a backslash.
With --model, also the exact text that it makes of a trace, special tokens included, with a mark at
every token that is read, and the token ids around it. NAME may be a file of YAML or JSON with a
recipe of your own, or with the name of one and its arguments. Of the model the tokenizer alone is
loaded.

examples:
  stepscore recipes
  stepscore recipes --json
  stepscore recipes show fover-prm
  stepscore recipes show 'trl-prm:separator=\n\n' --model lab
  stepscore recipes show qwen2.5-math-prm --model Qwen/Qwen2.5-Math-PRM-7B --problem 2+3=? --step 5
  stepscore recipes show my.yaml in.jsonl --model ./my-prm --limit 3
"""
_IDS_AROUND = 4


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("what", nargs="?", metavar="show", help="show how a recipe reads")
    parser.add_argument("name", nargs="?", metavar="NAME", help="of a recipe, or a file with one")
    parser.add_argument("input", nargs="?", metavar="IN", help="a JSONL file, as for score")
    shown = parser.add_argument_group("what is shown")
    add_model_name(shown, "a folder or a repository with the tokenizer")
    shown.add_argument("--problem", metavar="TEXT", help="a problem, instead of a file")
    shown.add_argument(
        "--step",
        action="append",
        default=[],
        dest="steps",
        metavar="TEXT",
        help="a step of its solution; may be repeated",
    )
    options.add_limit(shown, "the first N candidates of the file", 1)
    shown.add_argument(
        "--ids-around",
        type=options.positive,
        default=_IDS_AROUND,
        metavar="N",
        help=f"token ids on each side of a place (default: {_IDS_AROUND})",
    )
    shown.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="mark places by colours: on a terminal (default), always, or never",
    )
    options.add_json(parser)
    options.add_fields(parser, ("id", "problem", "candidates"))
    add_revision(shown)


def run(arguments: argparse.Namespace) -> None:
    """List the recipes, or show one."""
    from stepscore.recipes import summaries

    _check_what(arguments)
    if arguments.what is None:
        from stepscore.report.families import family_list
        from stepscore.scoring.generative import generative_families

        rows, families = summaries(), generative_families()
        listed = [*(row.as_json() for row in rows), *(each.as_json() for each in families)]
        written = [json.dumps(listed, ensure_ascii=False)]
        say(written if arguments.json else [*recipe_list(rows), "", *family_list(families)])
        return
    _check(arguments)
    typed = _family_of(arguments.name)
    if typed is not None:
        _show_family(arguments, typed)
        return
    if arguments.model is None:
        _show_facts(arguments)
        return
    recipe = _recipe_of(arguments.name)
    try:
        from stepscore.scoring.checkpoint.tokenizer_alone import load_tokenizer

        tokenizer = load_tokenizer(arguments.model, revision=arguments.revision)
    except Exception as error:
        raise not_loaded(error, Argument("model", arguments.model)) from error
    _show(arguments, recipe, tokenizer)


def _check_what(arguments: argparse.Namespace) -> None:
    if arguments.what not in (None, "show"):
        named = arguments.what if arguments.name is None else "NAME"
        raise InputError(
            "show and the recipe to show, or nothing for the list of all",
            got=arguments.what,
            advice=f"type stepscore recipes show {shlex.quote(named)}",
            where="show",
        )


def _check(arguments: argparse.Namespace) -> None:
    if arguments.name is None:
        raise InputError(
            "the recipe to show: a name of stepscore recipes, or a file", got="none", where="NAME"
        )
    traced = arguments.input is not None or arguments.problem is not None or arguments.steps
    if arguments.model is None and traced:
        raise InputError(
            "a folder or a repository with the tokenizer",
            got="none" if arguments.input is None else f"none beside the file {arguments.input}",
            advice="add --model MODEL",
            argument="model",
        )
    if arguments.input is not None and (arguments.problem is not None or arguments.steps):
        raise InputError(
            "a file, or a problem with steps",
            got="both",
            argument="problem",
            advice="leave one out",
        )


def _family_of(name: str) -> TypedFamily | None:
    """Give a family that writes its verdicts; None for a recipe that reads hidden states."""
    from stepscore.recipes.registry import COMPARISONS, WRITTEN_VERDICTS

    for option, families in (("recipe", WRITTEN_VERDICTS), ("judge", COMPARISONS)):
        typed = typed_family(name, option)
        if typed.name in families:
            return typed
    return None


def _show_family(arguments: argparse.Namespace, typed: TypedFamily) -> None:
    from stepscore.report.families import family_lines
    from stepscore.scoring.generative import JUDGES, VERDICTS, SilentPolicy, generative_families

    if arguments.model is not None:
        raise InputError(
            "a recipe that reads hidden states, whose places can be shown",
            got=f"{typed.name}, a family that writes its verdicts",
            advice="leave it out",
            argument=Argument("model", arguments.model),
        )
    [family] = [each for each in generative_families() if each.name == typed.name]
    if typed.text != typed.name:  # its arguments are tried
        first = () if typed.option == "judge" else (SilentPolicy(),)
        typed.make((VERDICTS | JUDGES)[typed.name], *first)
    if arguments.json:
        say([json.dumps(family.as_json(), ensure_ascii=False)])
        return
    say([*family_lines(family), "", f"  next: {_call(family, typed)}"])


def _call(family: GenerativeFamily, typed: TypedFamily) -> str:
    """Give what scores or judges with a family."""
    from stepscore.recipes.argument_values import PYTHON_ONLY
    from stepscore.recipes.registry import COMPARISONS, WRITTEN_VERDICTS

    unwritten = [
        each.name for each in family.arguments if each.required and each.takes == PYTHON_ONLY
    ]
    if unwritten:
        path = (WRITTEN_VERDICTS | COMPARISONS)[family.name]
        given = ", ".join(f"{name}=..." for name in unwritten)
        return f"stepscore.scoring.{path}(policy, {given}) in Python"
    bare = typed.text == typed.name
    needed = ",".join(f"{name}=..." for name in family.required) if bare else ""
    named = shlex.quote(f"{typed.text}:{needed}" if needed else typed.text)
    if typed.option == "judge":
        return f"stepscore judge IN -o OUT --judge {named} --policy MODEL"
    return f"stepscore score IN -o OUT --recipe {named} --model MODEL"


def _recipe_of(name: str) -> Any:
    from stepscore.recipes import recipe_from

    try:
        return recipe_from(typed_recipe(name))
    except InputError as fault:
        if fault.argument is None:  # a file, which the message names
            raise
        value = fault.argument.value
        place = "NAME" if value is None else str(value)
        raise InputError(fault.expected, got=fault.got, advice=fault.advice, where=place) from fault


def _show_facts(arguments: argparse.Namespace) -> None:
    """Show what is known without a tokenizer."""
    from stepscore.recipes import summaries

    rows = {row.name: row for row in summaries()}
    row = rows.get(arguments.name)
    named = arguments.name
    if row is not None and row.required:  # what it is cannot be said without them
        named += ":" + ",".join(f"{name}=..." for name in row.required)
        known = [f"{row.name}: {row.confidence}; {row.source}"]
        known += [f"  unverified {fact}" for fact in row.unverified]
    else:
        recipe = _recipe_of(arguments.name)
        row, known = rows.get(recipe.name), recipe_lines(recipe)
    if arguments.json:
        say([json.dumps(None if row is None else row.as_json(), ensure_ascii=False)])
        return
    listed = [] if row is None else argument_lines(row)
    say([*known, *listed, "", f"  next: stepscore recipes show {named} --model MODEL"])


def _show(arguments: argparse.Namespace, recipe: Any, tokenizer: Any) -> None:
    if arguments.input is None:
        try:
            traces = [("", render_given(recipe, tokenizer, arguments.problem, arguments.steps))]
        except InputError as fault:
            raise _of_name(fault, arguments.name) from None
    else:
        fields = options.fields_of(arguments)
        traces = list(
            render_file(arguments.input, recipe, tokenizer, limit=arguments.limit, fields=fields)
        )
    if arguments.json:
        say([json.dumps([trace_json(trace) for _, trace in traces], ensure_ascii=False)])
        return
    lines = recipe_lines(recipe)
    color = _in_color(arguments.color)
    for place, trace in traces:
        lines += ["", *([place] if place else [])]
        lines += trace_lines(trace, color=color, width=arguments.ids_around)
    say(lines)


def _of_name(fault: InputError, name: str) -> InputError:
    """Say of the recipe, which has no option here, what is typed in its place."""
    if fault.argument is None or fault.argument.name != "recipe":
        return fault.at(where="")
    advice = tuple(
        str(word.value or "NAME") if isinstance(word, Argument) and word.name == "recipe" else word
        for word in (fault.advice if isinstance(fault.advice, tuple) else (fault.advice,))
    )
    return InputError(fault.expected, got=fault.got, advice=advice, where=name)


def _in_color(choice: str) -> bool:
    if choice != "auto":
        return choice == "always"
    # https://no-color.org: any value that is not empty.
    return sys.stdout is not None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
