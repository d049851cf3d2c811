"""The tokenizer: characters only, additive, and an error rather than another text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

transformers = pytest.importorskip("transformers")

from stepscore.lab import tasks  # noqa: E402
from stepscore.lab.policy import SHIPPED as POLICY  # noqa: E402
from stepscore.lab.prm import SHIPPED as PRM  # noqa: E402
from stepscore.lab.tokenizer import (  # noqa: E402
    CHARACTERS,
    EOS_ID,
    NEWLINE_ID,
    PAD_ID,
    VOCABULARY,
    build_tokenizer,
    decode,
    encode,
)

texts = st.text(CHARACTERS, max_size=40)


@pytest.fixture(scope="module", params=["built", "policy", "prm"])
def tokenizer(request):
    if request.param == "built":
        return build_tokenizer()
    folder = {"policy": POLICY, "prm": PRM}[request.param]
    return transformers.PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)


@given(first=texts, second=texts)
def test_encoding_is_additive_and_goes_back(tokenizer, first, second):
    def ids(text):
        return tokenizer(text)["input_ids"]

    assert ids(first) + ids(second) == ids(first + second) == encode(first + second)
    assert tokenizer.decode(ids(first)) == first == decode(encode(first))


def test_special_tokens(tokenizer):
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (PAD_ID, EOS_ID)
    assert tokenizer.bos_token_id is None
    assert tokenizer("\n")["input_ids"] == [NEWLINE_ID]
    assert tokenizer.get_vocab() == VOCABULARY
    assert tokenizer.is_fast


def test_offsets_are_the_characters(tokenizer):
    text = tasks.true_solution("69+15-75+61+71-84=?")
    spans = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    assert spans == [(at, at + 1) for at in range(len(text))]


@pytest.mark.parametrize("text", ["69 + 15", "x", "69+15=84."])
def test_an_unknown_character_is_an_error(tokenizer, text):
    with pytest.raises(ValueError, match="may hold only"):
        encode(text)
    with pytest.raises(Exception, match=r"(?i)unk"):
        tokenizer(text)
