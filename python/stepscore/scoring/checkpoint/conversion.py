"""A checkpoint as safetensors, with its head, its tokenizer and the entry that names its recipe."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from stepscore.errors import Argument, InputError
from stepscore.recipes import Recipe, Tokenizer, recipe_names
from stepscore.recipes.recipe_files import NamedRecipe
from stepscore.scoring.checkpoint.accounting import is_computed
from stepscore.scoring.checkpoint.adapter import AdaptedCheckpoint, open_model
from stepscore.scoring.checkpoint.folder import Checkpoint, open_checkpoint
from stepscore.scoring.checkpoint.loading import load
from stepscore.scoring.checkpoint.merged_copy import merged_checkpoint
from stepscore.scoring.checkpoint.side_files import with_side_files
from stepscore.scoring.checkpoint.weight_files import SAFETENSORS
from stepscore.scoring.model import ProcessRewardModel

# As save_pretrained cuts them.
_SHARD = 5 * 10**9
# What tokenizers and generation are read from; code of a checkpoint is left behind.
_COMPANIONS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "generation_config.json",
)
# Arithmetic, which the built-in miniature reads as well as any language model.
_PROBLEM = "85+95-16=?"
_SOLUTIONS = (["85+95=180", "180-16=164"], ["85+95=170", "170-16=154", "154"], ["85-16=69"])
# Texts whose tokens depend on merges, spaces and bytes; tags and words of the recipes among them.
_TEXTS = (
    "Janet sells 16 - 3 = 13 eggs per day.\n\nStep 2: She makes 13 * $2.50 = $32.50 ки\n",
    " Therefore,  the   answer is \\boxed{\\frac{1}{2}}.\t+ - é ½ 汉字 🙂",
)


@dataclass(frozen=True)
class ConvertedCheckpoint:
    """What a conversion has written and compared.

    Attributes:
        folder: where it stands.
        recipe: the name of the recipe, as config.json states it now.
        tensors: how many there are, each with the same bits as before.
        bytes: how large the weights are.
        steps: how many step scores were compared, each with the same bits as before.
    """

    folder: Path
    recipe: str
    tensors: int
    bytes: int
    steps: int

    def __str__(self) -> str:
        return (
            f"{self.folder}: {self.tensors} tensors, {self.bytes / 1e9:.2f} GB, recipe "
            f"{self.recipe}; weights and scores are equal, bit for bit"
        )


def convert_checkpoint(
    model: str | Path,
    output: str | Path,
    *,
    recipe: NamedRecipe | None = None,
    revision: str | None = None,
    overwrite: bool = False,
    base: str | Path | None = None,
) -> ConvertedCheckpoint:
    """Write a checkpoint as safetensors that `stepscore.load` needs to be told nothing about.

    The weights of backbone and head keep their number formats; a head in a file of its own, such as
    ``score_module.pt``, goes among them; the tokenizer comes along as tokenizer.json; config.json
    gets the entry ``"stepscore"`` with the recipe. What was written is loaded again and compared:
    every tensor, the ids of some texts, and the scores of some traces in bfloat16, bit for bit. The
    folder appears whole, and only if all are equal.

    An adapter is merged into its base and rounded once to the base's number format, in which the
    scores are compared then; heads that it holds are written in float32.

    Args:
        model: a folder or a Hugging Face repository, as for `stepscore.load`.
        output: the folder to write.
        recipe: as for `stepscore.load`; a causal language model needs it.
        revision: branch, tag or commit of a Hugging Face repository.
        overwrite: whether an existing folder may be replaced, if it is empty or a checkpoint.
        base: the full weights that an adapter is merged into; None takes what it names.

    Raises:
        ValueError: as `stepscore.load`; an output that exists, or that cannot be written; a copy
            that is not equal.

    Examples:
        >>> import stepscore
        >>> converted = stepscore.convert_checkpoint("lab", "lab-copy")
        >>> converted.recipe, stepscore.load("lab-copy").recipe.name
        ('trl-prm', 'trl-prm')
    """
    target = Path(output)
    _check_target(target, overwrite)
    if target.exists() and Path(model).exists() and target.samefile(model):
        raise InputError(
            "another folder than the checkpoint's own",
            got=str(target),
            advice="pass another name",
            argument="output",
            where="convert_checkpoint",
        )
    opened = open_model(model, base=base, revision=revision)
    # An adapter is rounded once, to the number format that it is written in.
    dtype = "auto" if isinstance(opened, AdaptedCheckpoint) else "bfloat16"
    options: dict[str, Any] = {"device": "cpu", "dtype": dtype, "share": False}
    prm = load(model, recipe=recipe, revision=revision, base=base, **options)
    checkpoint = merged_checkpoint(with_side_files(opened, prm.recipe), prm.recipe)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    try:
        # What mkdtemp makes is for its owner alone.
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o777 & ~umask)
        _write_weights(part, checkpoint)
        _write_config(part, checkpoint, prm.recipe)
        _write_tokenizer(part, checkpoint, prm)
        copy = open_checkpoint(part)
        _compare_tensors(checkpoint, copy)
        again = None if prm.recipe.name in recipe_names() else prm.recipe
        reloaded = load(part, recipe=again, **options)
        _compare_tokenizers(prm.tokenizer, reloaded.tokenizer)
        steps = _compare_scores(prm, reloaded)
        _deliver(part, target, overwrite)
    except OSError as error:
        raise InputError(
            "a folder that can be written",
            got=f"{error.strerror or error} at {target}",
            advice="nothing was written; check the permissions and the free space",
            argument="output",
            where="convert_checkpoint",
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    size = sum(path.stat().st_size for path in target.glob("*.safetensors"))
    return ConvertedCheckpoint(target, prm.recipe.name, len(copy.files), size, steps)


def _check_target(target: Path, overwrite: bool) -> None:
    fault = None
    if target.exists() and not (overwrite and target.is_dir()):
        fault = f"{target}, which exists"
        advice: tuple[str | Argument, ...] = ("pass another name",)
        if target.is_dir():
            advice = ("pass ", Argument("overwrite", True), " to replace it, or another name")
    elif target.exists() and not _is_checkpoint(target):
        fault = f"{target}, which holds something else than a checkpoint"
        advice = ("pass another name, or remove it yourself",)
    elif not target.parent.is_dir():
        fault = f"{target} in a folder that does not exist"
        advice = (f"make it with: mkdir -p {target.parent}",)
    if fault is not None:
        raise InputError(
            "a folder that does not exist yet",
            got=fault,
            advice=advice,
            argument="output",
            where="convert_checkpoint",
        )


def _is_checkpoint(folder: Path) -> bool:
    """Say whether a folder is one that may go: empty, or a checkpoint without folders in it."""
    names = {path.name for path in folder.iterdir()}
    weights = any(name.endswith((".safetensors", ".bin")) for name in names)
    plain = not any(path.is_dir() for path in folder.iterdir())
    return not names or (plain and weights and "config.json" in names)


def _write_weights(folder: Path, checkpoint: Checkpoint) -> None:
    """Write every tensor as it is stored, in shards, a file of the source after the other."""
    # By file, so that at most one file of pickles is open at a time.
    names = sorted(checkpoint.files, key=lambda name: (checkpoint.files[name], name))
    shards: list[list[str]] = []
    room = 0
    for name in names:
        if is_computed(name):
            continue
        size = checkpoint.stored_bytes(name)
        if not shards or size > room:
            shards.append([])
            room = _SHARD
        shards[-1].append(name)
        room -= size
    if len(shards) == 1:
        _write_shard(folder / SAFETENSORS.single, checkpoint, shards[0])
        return
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        _write_shard(folder / file, checkpoint, shard)
        weight_map |= dict.fromkeys(shard, file)
    total = sum(checkpoint.stored_bytes(name) for name in weight_map)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    _write_json(folder / SAFETENSORS.listing, index)


def _write_shard(path: Path, checkpoint: Checkpoint, names: Sequence[str]) -> None:
    # Tensors of a pickle may share their memory, which safetensors cannot say.
    tensors = {
        name: checkpoint.as_stored(name).clone(memory_format=torch.contiguous_format)
        for name in names
    }
    save_file(tensors, path, metadata={"format": "pt"})


def _write_config(folder: Path, checkpoint: Checkpoint, recipe: Recipe) -> None:
    # The code that auto_map names does not come along.
    config = {key: value for key, value in checkpoint.config.items() if key != "auto_map"}
    if recipe.name in recipe_names():
        config["stepscore"] = recipe.as_config()
    _write_json(folder / "config.json", config)


def _write_tokenizer(folder: Path, checkpoint: Checkpoint, prm: ProcessRewardModel) -> None:
    if not (checkpoint.folder / "tokenizer.json").is_file():
        prm.tokenizer.save_pretrained(folder)  # type: ignore[attr-defined]
    for name in _COMPANIONS:
        source = checkpoint.folder / name
        if source.is_file() and not (folder / name).exists():
            shutil.copyfile(source, folder / name)


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _compare_tensors(source: Checkpoint, copy: Checkpoint) -> None:
    differing = {name for name in source.files if not is_computed(name)} ^ set(copy.files)
    for name in copy.files:
        first, second = source.as_stored(name), copy.as_stored(name)
        if first.dtype != second.dtype or not torch.equal(first, second):
            differing.add(name)
    if differing:
        raise _unequal(f"other tensors: {', '.join(sorted(differing)[:5])}")


def _compare_tokenizers(first: Tokenizer, second: Tokenizer) -> None:
    texts = [*_TEXTS, _PROBLEM, *first.get_added_vocab()]
    same = (
        (first.bos_token, first.bos_token_id) == (second.bos_token, second.bos_token_id)
        and first.get_added_vocab() == second.get_added_vocab()
        and all(_ids(first, text) == _ids(second, text) for text in texts)
    )
    if not same:
        raise _unequal("other token ids")


def _ids(tokenizer: Tokenizer, text: str) -> object:
    try:
        return tokenizer([text])["input_ids"]
    # The tokenizers library has no class of its own for a text that a vocabulary cannot write.
    except Exception as error:
        return str(error)


def _compare_scores(first: ProcessRewardModel, second: ProcessRewardModel) -> int:
    """Give the number of scores that were compared."""
    expected, got = (each.score(_PROBLEM, list(_SOLUTIONS)).values for each in (first, second))
    if expected.tobytes() != got.tobytes():
        raise _unequal(f"other scores: {got.tolist()} for {expected.tolist()}")
    return len(expected)


def _deliver(part: Path, target: Path, overwrite: bool) -> None:
    """Give the folder its name; what stood there before goes when the new one is in its place."""
    _check_target(target, overwrite)  # another program may have made it meanwhile
    if not target.exists():
        part.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent))
    target.rename(old / target.name)
    try:
        part.rename(target)
    except OSError:
        (old / target.name).rename(target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _unequal(got: str) -> InputError:
    return InputError(
        "a copy that is equal, bit for bit",
        got=got,
        advice="nothing was written; report this with the name of the checkpoint",
        where="convert_checkpoint",
    )
