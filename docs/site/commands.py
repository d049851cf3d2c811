"""``.. commands::``: the help of every command, from the parsers that read the command line."""

import argparse
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from stepscore.cli.main import _parser

_WIDTH = 92


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("commands", _Commands)
    return {"parallel_read_safe": True}


class _Commands(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # its source is code
        return [_section(*command) for command in _commands(_parser())]


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[argparse.ArgumentParser, str]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                yield action.choices[choice.dest], choice.help or ""


def _section(command: argparse.ArgumentParser, summary: str) -> nodes.section:
    help_texts = command.formatter_class(command.prog, width=_WIDTH)
    help_texts.add_usage(command.usage, command._actions, command._mutually_exclusive_groups)
    section = nodes.section(ids=[nodes.make_id(command.prog)], names=[command.prog])
    section += nodes.title(text=command.prog)
    section += nodes.paragraph(text=f"{summary[:1].upper()}{summary[1:]}.")
    section += _as_typed(help_texts.format_help())
    for group in command._action_groups:
        if group._group_actions:
            section += nodes.rubric(text=f"{(group.title or '').capitalize()}")
            if group.description:
                section += nodes.paragraph(text=group.description)
            section += _options(command, group._group_actions)
    if command.epilog:
        section += nodes.rubric(text="Input, output, examples")
        section += _as_typed(command.epilog)
    return section


def _options(
    command: argparse.ArgumentParser, actions: list[argparse.Action]
) -> nodes.definition_list:
    texts, listed = command._get_formatter(), nodes.definition_list(classes=["options"])
    for action in actions:
        item = nodes.definition_list_item()
        name = texts._format_action_invocation(action)
        item += nodes.term("", "", nodes.literal(text=name))
        item += nodes.definition("", nodes.paragraph(text=texts._expand_help(action)))
        listed += item
    return listed


def _as_typed(text: str) -> nodes.literal_block:
    return nodes.literal_block(text=text.strip("\n"), language="none")
