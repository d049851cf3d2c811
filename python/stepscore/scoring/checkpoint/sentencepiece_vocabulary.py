"""A tokenizer.model of sentencepiece as the tokenizer that it is.

transformers 5 orders the merges by ids, not by the pieces' scores, and gives a folder of Mistral's
no space in front of a text: other tokens than the model was trained on, and no error. What is made
here is compared with sentencepiece itself before it is used.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from stepscore.errors import InputError, Words
from stepscore.scoring.checkpoint.weight_files import read_json

_BPE = 2  # the other algorithms of sentencepiece: 1 unigram, 3 words, 4 characters
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4
# The classes that take a text as sentencepiece does; others shift ids or add tokens of their own.
_CLASSES = ("Llama", "CodeLlama", "Gemma", "Mistral", "PreTrained", "Tokenizers")
_SPACE = "▁"
_NAMED = ("bos_token", "eos_token", "unk_token", "pad_token")
# What the two are compared by: spaces, newlines, digits, bytes, accents, what a step ends in.
_SAMPLES = (
    "Janet has 16 eggs - 3 = 13, and sells them for $2.50 each. Step 1: 13 * 2 = 26 ки\nStep 2:",
    " a  b   c    d     e               f                                f",
    "x\n\ny\t\tz \n w",
    "+ -",
    "ки кино é ü ﬁ ½ 汉字 🙂 \u200b \\frac{1}{2}",
    "",
    "   ",
)
_MAKE_JSON = "put the tokenizer.json that was published with the model beside the weights"


def sentencepiece_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Make the tokenizer of a folder that has tokenizer.model alone.

    tokenizer_config.json, special_tokens_map.json and added_tokens.json are read where they are.

    Raises:
        ValueError: the packages sentencepiece and protobuf are missing; a file that is no model of
            sentencepiece, or one whose ids cannot be given exactly.
    """
    path = folder / "tokenizer.model"
    proto = _read(path)
    config = _config(folder)
    _check(path, proto, config)
    backend = _backend(proto, config)
    _compare(path, backend)
    names = {key: text for key in _NAMED if (text := _text(config.get(key))) is not None}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        clean_up_tokenization_spaces=False,
        **{"bos_token": proto.trainer_spec.bos_piece, "unk_token": proto.trainer_spec.unk_piece}
        | {"eos_token": proto.trainer_spec.eos_piece}
        | names,
    )
    _add_tokens(path, tokenizer, config)
    template = config.get("chat_template")
    if isinstance(template, str):
        tokenizer.chat_template = template
    return tokenizer


def _read(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of its generated binding
            from sentencepiece import sentencepiece_model_pb2
    except ImportError as error:
        raise InputError(
            f"the packages sentencepiece and protobuf, which read {path.name}",
            got=f"none of {error.name or 'them'}",
            advice="pip install sentencepiece protobuf (both belong to stepscore[hf])",
            where="load",
        ) from error
    proto = sentencepiece_model_pb2.ModelProto()
    try:
        proto.ParseFromString(path.read_bytes())
    except Exception as error:  # protobuf's class depends on its implementation
        raise _fault(path, "a model of sentencepiece", str(error)) from error
    if not proto.pieces:
        raise _fault(path, "a model of sentencepiece", "one without pieces")
    return proto


def _config(folder: Path) -> dict[str, Any]:
    """Read what stands beside the vocabulary: the last of the files says it."""
    config: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            config |= read_json(folder / name)
    if (folder / "added_tokens.json").is_file():
        config["added_tokens"] = read_json(folder / "added_tokens.json")
    return config


def _check(path: Path, proto: Any, config: Mapping[str, Any]) -> None:
    trainer, normalizer = proto.trainer_spec, proto.normalizer_spec
    if trainer.model_type != _BPE:
        raise _fault(path, "byte-pair encoding", f"model type {trainer.model_type}")
    kind = config.get("tokenizer_class")
    if kind is not None and not str(kind).startswith(_CLASSES):
        raise _fault(path, f"a tokenizer_class like {', '.join(_CLASSES[:4])}", repr(kind))
    if (
        normalizer.precompiled_charsmap
        or normalizer.remove_extra_whitespaces
        or not normalizer.escape_whitespaces
        or trainer.treat_whitespace_as_suffix
    ):
        got = f"the normalizer {normalizer.name!r}"
        raise _fault(path, "texts that are taken as they are", got)


def _backend(proto: Any, config: Mapping[str, Any]) -> Tokenizer:
    pieces = list(proto.pieces)
    vocabulary = {piece.piece: index for index, piece in enumerate(pieces)}
    byte_fallback = bool(proto.trainer_spec.byte_fallback)
    unknown = next((piece.piece for piece in pieces if piece.type == _UNKNOWN), None)
    tokenizer = Tokenizer(
        models.BPE(
            vocabulary,
            _merges(pieces, vocabulary),
            unk_token=unknown,
            fuse_unk=True,
            byte_fallback=byte_fallback,
        )
    )
    prefix = bool(proto.normalizer_spec.add_dummy_prefix)
    # Until 4.33 the space in front came before the text behind every special token.
    if prefix and config.get("legacy", True) is False:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(_SPACE, "first", split=False)
    else:
        parts = [normalizers.Prepend(_SPACE)] if prefix else []
        tokenizer.normalizer = normalizers.Sequence([*parts, normalizers.Replace(" ", _SPACE)])
    strip = [decoders.Strip(" ", 1, 0)] if prefix else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    special = [piece.piece for piece in pieces if piece.type in (_UNKNOWN, _CONTROL)]
    tokenizer.add_special_tokens([_added(text) for text in special])
    defined = [piece.piece for piece in pieces if piece.type == _USER_DEFINED]
    tokenizer.add_tokens([_added(text, special=False) for text in defined])
    tokenizer.post_processor = _template(proto, config, vocabulary)
    return tokenizer


def _merges(pieces: list[Any], vocabulary: Mapping[str, int]) -> list[tuple[str, str]]:
    """Give every pair that makes a piece, in the order in which sentencepiece merges: by score."""
    ranked = []
    for index, piece in enumerate(pieces):
        if piece.type != _NORMAL:
            continue
        text = piece.piece
        for cut in range(1, len(text)):
            left, right = text[:cut], text[cut:]
            if left in vocabulary and right in vocabulary:
                order = (-piece.score, index, vocabulary[left], vocabulary[right])
                ranked.append((order, (left, right)))
    return [pair for _, pair in sorted(ranked)]


def _template(proto: Any, config: Mapping[str, Any], vocabulary: Mapping[str, int]) -> Any:
    first = _text(config.get("bos_token")) or proto.trainer_spec.bos_piece
    last = _text(config.get("eos_token")) or proto.trainer_spec.eos_piece
    begins = [first] if config.get("add_bos_token", True) else []
    ends = [last] if config.get("add_eos_token", False) else []
    return TemplateProcessing(
        single=[*begins, "$A:0", *ends],
        pair=[*begins, "$A:0", *ends, *(f"{token}:1" for token in begins), "$B:1"]
        + [f"{token}:1" for token in ends],
        special_tokens=[(token, vocabulary[token]) for token in dict.fromkeys([*begins, *ends])],
    )


def _compare(path: Path, tokenizer: Tokenizer) -> None:
    """Compare the ids with those of sentencepiece itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from sentencepiece import SentencePieceProcessor

        processor = SentencePieceProcessor(model_file=str(path))
    # The space in front that comes once for a whole text is left out where the text has its own.
    once = tokenizer.pre_tokenizer is not None
    for text in (text for text in _SAMPLES if not (once and text.startswith(" "))):
        expected = processor.encode(text)
        got = tokenizer.encode(text, add_special_tokens=False).ids
        if got != expected:
            raise _fault(
                path,
                f"the ids of sentencepiece, {expected[:12]} for {text[:40]!r}",
                str(got[:12]),
            )


def _add_tokens(path: Path, tokenizer: Any, config: Mapping[str, Any]) -> None:
    """Add what was added to the vocabulary later, under the ids that the files state."""
    stated: dict[str, int] = dict(config.get("added_tokens") or {})
    entries: Mapping[str, Any] = config.get("added_tokens_decoder") or {}
    flags = {entry["content"]: entry for entry in entries.values()}
    stated |= {entry["content"]: int(index) for index, entry in entries.items()}
    for text, index in sorted(stated.items(), key=lambda item: item[1]):
        flag = flags.get(text, {})
        token = AddedToken(
            text,
            special=flag.get("special", False),
            normalized=flag.get("normalized", False),
            lstrip=flag.get("lstrip", False),
            rstrip=flag.get("rstrip", False),
            single_word=flag.get("single_word", False),
        )
        tokenizer.add_tokens([token], special_tokens=token.special)
        if tokenizer.convert_tokens_to_ids(text) != index:
            raise _fault(
                path,
                f"the added token {text!r} to get the id {index} that the files beside it state",
                str(tokenizer.convert_tokens_to_ids(text)),
            )


def _added(text: str, *, special: bool = True) -> AddedToken:
    return AddedToken(text, normalized=False, special=special)


def _text(token: Any) -> str | None:
    text = token.get("content") if isinstance(token, Mapping) else token
    return text if isinstance(text, str) else None


def _fault(path: Path, expected: str, got: str, advice: Words = _MAKE_JSON) -> InputError:
    return InputError(f"{expected} in {path}", got=got, advice=advice, where="load")
