"""Texts that hold a problem and its solution: divided surely, or not at all."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("fastapi")
from hypothesis import given
from hypothesis import strategies as st

from stepscore.errors import Argument, InputError
from stepscore.server import Settings
from stepscore.server.errors import InvalidError
from stepscore.server.rewards import Pair, at_separators, ended_steps, read_as_written, row
from stepscore.server.templates import Dividing, Template

FIELD = Argument("input")
CHATML = "<|im_start|>user\n{problem}<|im_end|>\n<|im_start|>assistant\n{solution}<|im_end|>\n"


class Chat:
    """A tokenizer with Qwen's chat template."""

    chat_template = "there is one"
    bos_token = "<s>"

    def __init__(self, begin="", system="Reason."):
        self._begin, self._system = begin, system

    def apply_chat_template(self, turns, tokenize):
        assert tokenize is False
        if turns[0]["role"] != "system":
            turns = [{"role": "system", "content": self._system}, *turns]
        texts = [f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in turns]
        return self._begin + "".join(texts)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{problem}",
        "{solution}",
        "{problem}{solution}",
        "{problem}\n{solution}",
        "{solution} then {problem}",
        "{problem} then {problem} or {solution}",
        "{problem} then {solution} {solution}",
    ],
)
def test_what_is_no_template(text):
    with pytest.raises(InputError, match="once each, and a mark between") as error:
        Settings(template=text)
    assert error.value.argument == Argument("template")


plain = st.text(st.characters(codec="utf-8"), max_size=40)


@given(plain, plain, plain, plain, plain)
def test_a_text_is_divided_as_it_was_made_or_not_at_all(before, between, after, problem, solution):
    template = Template(before, "|" + between + "|", after)
    text = before + problem + template.between + solution + after
    divided = template.divided(text)
    if (problem + template.between + solution + after).count(template.between) == 1:
        assert divided == (problem, solution)
    else:
        assert divided is None
    prompt = template.problem_of(before + problem + template.between)
    assert prompt in (problem, None)
    assert prompt is not None or (problem + template.between).count(template.between) > 1


def test_the_template_of_a_tokenizer():
    dividing = Dividing.of(None, Chat())
    text = Chat().apply_chat_template(
        [{"role": "user", "content": "1+2?"}, {"role": "assistant", "content": "3"}], False
    )
    assert dividing.whole(text, FIELD) == ("1+2?", "3")
    begun = Dividing.of(None, Chat("<s>"))
    assert begun.whole(text, FIELD) == begun.whole("<s>" + text, FIELD) == ("1+2?", "3")
    with pytest.raises(InvalidError, match="chat template"):
        Dividing.of(None, Chat(system="Other.")).whole(text, FIELD)
    with pytest.raises(InvalidError, match="a text, and no template"):
        Dividing.of(None, SimpleNamespace(chat_template=None)).whole(text, FIELD)

    class Broken(Chat):
        def apply_chat_template(self, turns, tokenize):
            raise ValueError("roles must alternate")

    assert Dividing.of(None, Broken()).template is None


def test_a_message_of_the_system_that_the_template_writes_by_itself():
    turns = [{"role": "user", "content": "1+2?"}, {"role": "assistant", "content": "3"}]
    usual = [{"role": "system", "content": "Reason."}, *turns]
    dividing = Dividing.of(None, Chat())
    assert dividing.messages(turns) == dividing.messages(usual) == ("1+2?", "3")
    with pytest.raises(InvalidError, match=r"messages\[0\]: expected no message of the system"):
        dividing.messages([{"role": "system", "content": "Be brief."}, *turns])
    with pytest.raises(InvalidError, match=r"messages\[0\]"):
        Dividing.of(CHATML, None).messages(usual)


def test_a_template_that_was_typed_is_that_of_every_text():
    typed, own = Dividing.of(CHATML, Chat()), Dividing.of(None, Chat())
    assert own.prompt("1+2?", FIELD) == "1+2?"
    with pytest.raises(InvalidError, match="a problem in the template of the server"):
        typed.prompt("1+2?", FIELD)
    assert typed.prompt("<|im_start|>user\n1+2?<|im_end|>\n<|im_start|>assistant\n", FIELD) == (
        "1+2?"
    )
    for marked in ("[INST] 1+2? [/INST]", "<s>1+2?", "<start_of_turn>user\n1+2?", "<｜User｜>1+2?"):
        with pytest.raises(InvalidError, match="a mark of a chat template"):
            own.prompt(marked, FIELD)
    for calling in ("1+2?\nAssistant:", "1+2?\n\nAnswer: ", "1+2?\nSolution:\n"):
        with pytest.raises(InvalidError, match="nothing that calls for its solution"):
            own.prompt(calling, FIELD)


def test_steps_that_a_token_ends():
    assert ended_steps("a<x>b<x>", "<x>", FIELD) == ["a", "b"]
    assert ended_steps("a<x>b<x> \n", "<x>", FIELD) == ["a", "b"]
    with pytest.raises(InvalidError, match="input: expected '<x>' at the end of every step"):
        ended_steps("a<x>b", "<x>", FIELD)
    with pytest.raises(InvalidError, match="a text without it"):
        ended_steps("a", "<x>", FIELD)


def service(separator, added):
    tokenizer = SimpleNamespace(get_added_vocab=lambda: added)
    recipe = SimpleNamespace(separator=separator)
    return SimpleNamespace(prm=SimpleNamespace(recipe=recipe, tokenizer=tokenizer))


def read(service, text):
    return read_as_written(service, Pair("1+2?", text, FIELD, FIELD)).solution


def test_a_solution_in_which_separators_stand():
    extra = service("<extra_0>", {"<extra_0>": 7})
    assert read(extra, "a<extra_0>b<extra_0><|im_end|>\n") == ["a", "b"]
    assert read(extra, "a\n\nb<|eot_id|>") == "a\n\nb"
    with pytest.raises(InvalidError, match="at the end of every step"):
        read(extra, "a<extra_0>b")
    with pytest.raises(InvalidError, match=r"a solution without '<\|im_start\|>'"):
        read(extra, "a<|im_start|>user\nb")
    # A separator that is text, or white space, is the recipe's business.
    assert at_separators(service("\n", {"\n": 7}), "a\nb", FIELD) == "a\nb"
    assert at_separators(service("ки", {}), "a ки b", FIELD) == "a ки b"


def test_a_row_of_labels():
    from stepscore.recipes import qwen_math_prm, skywork_o1_prm, trl_prm

    assert row(trl_prm(), 0.25) == [0.75, 0.25]
    assert row(qwen_math_prm(), 0.25) == [0.75, 0.25]
    assert row(skywork_o1_prm(), 0.25) == [0.25]


def test_a_template_as_it_is_typed():
    from stepscore.cli.serve import lines

    assert lines(r"<|user|>\n{problem}\n\nÄ") == "<|user|>\n{problem}\n\nÄ"
