"""The tokenizer of a policy: it writes and reads the tokens that the checkpoint was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from stepscore.errors import InputError

_EXACT = "tokenizer.json"
_LINES = "1\n2"


def load_tokenizer(model: str, revision: str | None) -> Any:
    """Load the tokenizer of a checkpoint.

    tokenizer.json is read as it stands. AutoTokenizer may pick a class of transformers instead,
    which builds its own pipeline around the vocabulary: other tokens than the model was trained on,
    or texts without their line breaks. It is used where there is no such file, and its tokenizer
    is refused if it drops line breaks.

    Args:
        model: a local folder or a Hugging Face repository.
        revision: branch, tag or commit of a repository.

    Raises:
        InputError: a tokenizer that does not keep line breaks.
        ValueError, OSError: what transformers says of one that it cannot load.
    """
    if _has_exact(model, revision):
        return PreTrainedTokenizerFast.from_pretrained(model, revision=revision)
    tokenizer = AutoTokenizer.from_pretrained(model, revision=revision)
    ids = tokenizer(_LINES, add_special_tokens=False)["input_ids"]
    if "\n" not in tokenizer.decode(ids, clean_up_tokenization_spaces=False):
        raise InputError(
            "a tokenizer that keeps line breaks, in which steps end",
            got=f"{type(tokenizer).__name__}, which transformers makes of {model}",
            advice=f"put the {_EXACT} that the model was trained with beside the weights",
            argument="model",
            where="HuggingFacePolicy.load",
        )
    return tokenizer


def _has_exact(model: str, revision: str | None) -> bool:
    folder = Path(model).expanduser()
    if folder.is_dir():
        return (folder / _EXACT).is_file()
    try:
        hf_hub_download(model, _EXACT, revision=revision)
    except (OSError, ValueError):  # AutoTokenizer says what is wrong with a name
        return False
    return True
