"""Special tokens in users' texts: removed where they end a candidate, else refused by name."""

from __future__ import annotations

import models
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from stepscore.errors import Argument, InputError
from stepscore.scoring.reserved_tokens import ReservedTokens

KINDS = ["qwen", "shepherd", "skywork", "trl", "trl-llama"]
CLEAN = ["We add 3.", "The sum is 7."]


def end_of(prm) -> str:
    """A token that ends a text in the model's vocabulary."""
    return prm.tokenizer.eos_token


@pytest.mark.parametrize("kind", KINDS)
def test_what_ends_a_candidate_is_removed_and_counted(kind, loaded):
    prm = loaded(kind)
    end = end_of(prm)
    text = ("\n\n" if kind == "qwen" else "\n").join(CLEAN)
    expected = prm.score("What?", [text, CLEAN]).to_list()
    for tail in (end, f"{end}\n", f"{end} {end}\n\n{end}"):
        given = [text + tail, f"{text}\n{tail}", [CLEAN[0], CLEAN[1] + tail], CLEAN]
        scores = prm.score("What?", given)
        assert scores.to_list() == [expected[0], expected[0], expected[1], expected[1]]
        assert scores.stripped == dict.fromkeys(range(3), tail.count(end))
        assert "3 without the tokens that ended them" in repr(scores)
    # The spaces before it are the candidate's own, as if a server had left the token out.
    with_space = prm.score("What?", [f"{text} {end}", f"{text} "]).to_list()
    assert with_space[0] == with_space[1]
    assert prm.score("What?", [text]).stripped == {}
    assert prm.reader.steps_of(text + end) == (prm.recipe.split(text), 1)


@pytest.mark.parametrize("kind", KINDS)
def test_error_refuses_them_at_the_end_too(kind, loaded):
    prm = loaded(kind)
    end = end_of(prm)
    with pytest.raises(InputError, match=r"solutions\[1\]\[1\]: expected a step without") as caught:
        prm.score("What?", [CLEAN, [CLEAN[0], CLEAN[1] + end]], special_tokens="error")
    assert repr(end) in caught.value.expected
    assert Argument("special_tokens", "strip_end") in caught.value.advice
    assert prm.score("What?", [CLEAN], special_tokens="error").stripped == {}
    for call in (prm.score, prm.rank):
        with pytest.raises(ValueError, match='special_tokens: expected "strip_end" or "error"'):
            call("What?", [CLEAN], special_tokens="strip")


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_elsewhere_are_refused_by_name(kind, loaded):
    prm = loaded(kind)
    specials = [t for t in prm.tokenizer.all_special_tokens if t.strip()]
    specials += [t.content for t in prm.tokenizer.added_tokens_decoder.values() if t.special]
    assert len(set(specials)) > 2 or kind in ("skywork", "trl")
    for token in set(specials):
        for argument, problem, solutions in (
            (Argument("problems"), f"What {token}?", [CLEAN]),
            (Argument("problems"), f"What?{token}", [CLEAN]),
            (Argument("solutions", index=(1, 0)), "What?", [CLEAN, [f"a{token}b", "c"]]),
            (Argument("solutions", index=(1, 0)), "What?", [CLEAN, [f"a{token}", "c"]]),
            (Argument("solutions", index=(0, 1)), "What?", [["a", f"{token}b"]]),
        ):
            with pytest.raises(InputError) as caught:
                prm.score(problem, solutions)
            assert repr(token) in caught.value.expected
            assert caught.value.argument == argument
            assert token in str(caught.value.got)


def test_a_whole_chat_is_refused(loaded):
    chat = "<|im_start|>user\nWhat?<|im_end|>\n<|im_start|>assistant\nIt is 7.<|im_end|>\n"
    for kind in ("qwen", "skywork", "trl"):
        with pytest.raises(ValueError, match=r"solutions\[0\]\[0\]: .*without '<\|im_start\|>'"):
            loaded(kind).score("What?", [chat])
        with pytest.raises(ValueError, match=r"problems: .*without '<\|im_start\|>'"):
            loaded(kind).score(chat, ["It is 7."])
    # To a tokenizer that does not know these tokens they are text.
    assert len(loaded("shepherd").score("What?", ["It is 7.<|im_end|>"]).values) == 1


def test_a_step_that_is_such_a_token_alone_is_refused(loaded):
    prm = loaded("trl")
    message = r"solutions\[0\]: expected a step with text; got '<\|endoftext\|>' as the last step"
    with pytest.raises(ValueError, match=message):
        prm.score("What?", [[*CLEAN, "<|endoftext|>"]])
    with pytest.raises(ValueError, match=r"solutions\[0\]: expected at least one step"):
        prm.score("What?", ["<|endoftext|>\n"])
    # No text is put together over the border of two steps.
    assert len(prm.score("What?", [["a <|endof", "text|>"]]).values) == 2


def with_tokens(*tokens: AddedToken, **special: str) -> PreTrainedTokenizerFast:
    plain = models.byte_level_tokenizer().backend_tokenizer.to_str()
    from tokenizers import Tokenizer

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(plain), **special)
    tokenizer.add_tokens(list(tokens))
    return tokenizer


def test_only_what_the_tokenizer_flags_as_special_is_reserved():
    tokenizer = with_tokens(
        AddedToken("<think>", special=False),
        AddedToken("    ", special=True),
        AddedToken("<|eot_id|>", special=False),
        AddedToken("<|pad|>", special=True),
        AddedToken("<|mark|>", special=True),
        eos_token="<|endoftext|>",
        pad_token="<|pad|>",
    )
    reserved = ReservedTokens.of(tokenizer)
    assert "<think>" not in reserved.special
    assert "    " not in reserved.special
    assert {"<|mark|>", "<|im_start|>", "<extra_0>"} <= set(reserved.special)
    assert set(reserved.endings) == {"<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|pad|>"}
    assert reserved.fault_in("<think>7    8</think>", "step") is None
    assert reserved.without_end("7 <think> <|mark|>") == ("7 <think> <|mark|>", 0)
    assert reserved.without_end("7<|eot_id|><|pad|>\n<|pad|>") == ("7", 3)
    fault = reserved.fault_in("x" * 500 + "<|mark|>" + "y" * 500, "step")
    assert fault is not None
    assert "<|mark|>" in str(fault.got)
    assert len(str(fault.got)) < 80
    nothing = ReservedTokens((), ())
    assert nothing.fault_in("any <|im_end|>", "step") is None
    assert nothing.without_end("any <|im_end|>") == ("any <|im_end|>", 0)


RESERVED = ReservedTokens(("</s>", "<s>"), ("</s>", "<|end|>"))
parts = st.sampled_from(["</s>", "<|end|>", " ", "\n", "a", "<s>", "</s", ">"])


@given(st.lists(parts, max_size=8).map("".join))
def test_nothing_but_endings_and_white_space_goes(text):
    kept, count = RESERVED.without_end(text)
    assert text.startswith(kept)
    gone = text[len(kept) :]
    assert gone.replace("</s>", "").replace("<|end|>", "").strip() == ""
    assert gone.count("</s>") + gone.count("<|end|>") == count
    assert not kept.rstrip().endswith(RESERVED.endings)
    assert count or kept == text


def test_a_session_removes_them_too(loaded):
    prm = loaded("trl")
    expected = prm.score("What?", [["We add 3.", "It is 7.", "So."]])
    with prm.session("What?") as session:
        first = session.extend(session.roots[0], ["We add 3.<|endoftext|>", "x"])
        assert first.scores.stripped == {0: 1}
        assert session.steps(first.nodes[0]) == ["We add 3."]
        second = session.extend(first.nodes[0], [["It is 7.", "So.<|im_end|>\n"]])
        np.testing.assert_allclose(
            session.scores(second.nodes[0]), expected.values, rtol=0, atol=1e-5
        )
        with pytest.raises(ValueError, match=r"extend: steps\[0\]\[0\]: .*without '<\|endoftext"):
            session.extend(first.nodes[0], [["a<|endoftext|>", "b"]])
        with pytest.raises(ValueError, match=r"session: problems\[0\]: .*without '<\|im_end"):
            session.begin(["What?<|im_end|>"])
        assert len(session) == 4
    with (
        prm.session("What?", special_tokens="error") as session,
        pytest.raises(ValueError, match=r"extend: steps\[0\]: .*without '<\|endoftext"),
    ):
        session.extend(session.roots[0], ["We add 3.<|endoftext|>"])
    with pytest.raises(
        ValueError, match='session: special_tokens: expected "strip_end" or "error"'
    ):
        prm.session("What?", special_tokens="keep")


def test_rank_removes_them_and_shows_the_candidate_as_it_was(loaded):
    [ranked] = loaded("trl").rank("What?", ["It is 7.<|endoftext|>"])
    assert ranked.text == "It is 7.<|endoftext|>"
    assert ranked.step_scores == loaded("trl").score("What?", ["It is 7."]).to_list()[0]
