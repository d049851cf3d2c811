"""The tokenizer of a checkpoint."""

from __future__ import annotations

from transformers import AutoTokenizer, PreTrainedTokenizerFast

from stepscore.errors import InputError
from stepscore.hub import silenced_hub
from stepscore.recipes import Tokenizer
from stepscore.scoring.checkpoint.folder import Checkpoint
from stepscore.scoring.checkpoint.sentencepiece_vocabulary import sentencepiece_tokenizer
from stepscore.scoring.checkpoint.stored_tensors import refuse_pointer

_VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")


def load_tokenizer(checkpoint: Checkpoint) -> Tokenizer:
    """Load the tokenizer that stands beside the weights.

    tokenizer.json is read as it stands. AutoTokenizer may pick a class of transformers instead,
    which builds its own pipeline around the vocabulary, and so other tokens than the model was
    trained on. The same holds for tokenizer.model, of which the tokenizer is made here.

    Raises:
        ValueError: no tokenizer, or one that cannot be loaded.
    """
    files = [name for name in _VOCABULARIES if (checkpoint.folder / name).is_file()]
    # Without any of them transformers makes an empty tokenizer and says nothing.
    if not files:
        raise InputError(
            "a tokenizer beside the weights, best as tokenizer.json",
            got=f"none of {', '.join(_VOCABULARIES)} in {checkpoint.name}",
            advice="put the tokenizer's files beside the weights",
            where="load",
        )
    for file in files:
        refuse_pointer(checkpoint.folder / file)
    if files[0] == "tokenizer.model":
        made: Tokenizer = sentencepiece_tokenizer(checkpoint.folder)
        return made
    exact = files[0] == "tokenizer.json"
    loader = PreTrainedTokenizerFast if exact else AutoTokenizer
    options = {} if exact else {"trust_remote_code": False}
    try:
        with silenced_hub():
            tokenizer: Tokenizer = loader.from_pretrained(
                checkpoint.folder, local_files_only=True, **options
            )
    except Exception as error:  # a file without an entry raises what looks for it
        raise InputError(
            "a tokenizer that can be loaded",
            got=f"{', '.join(files)} in {checkpoint.name} ({type(error).__name__}: {error})",
            advice="put a tokenizer.json that fits the weights beside them",
            where="load",
        ) from error
    return tokenizer
