"""An adapter: a folder without a model, and the full weights that it is merged into."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch

from stepscore.errors import Argument, InputError
from stepscore.scoring.checkpoint.backbone import load_backbone, skeleton
from stepscore.scoring.checkpoint.folder import (
    ADAPTER_CONFIG,
    Checkpoint,
    locate,
    open_checkpoint,
)
from stepscore.scoring.checkpoint.merging import (
    AdapterTensors,
    adapter_tensors,
    merge_into_backbone,
    merged_heads,
)
from stepscore.scoring.checkpoint.placing import Placing, place
from stepscore.scoring.checkpoint.quantisation import quantised
from stepscore.scoring.checkpoint.stored_tensors import StoredTensors, stored_tensors
from stepscore.scoring.checkpoint.weight_files import read_json
from stepscore.scoring.forward.placement import placement
from stepscore.scoring.loaded_weights import LoadedWeights

AdapterUse = Literal["auto", "merge", "ignore"]
ADAPTER_USES: tuple[AdapterUse, ...] = ("auto", "merge", "ignore")

_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
# How names of quantised copies end; an adapter that was trained on one fits what it is a copy of.
_QUANTISED_COPY = re.compile(r"(-unsloth)?(-bnb)?-(4bit|8bit|int4|int8|awq|gptq[\w-]*|fp8)$")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
# The class that a task's model has, over the language model that it was made from.
_CLASS_OF_TASK = {"TOKEN_CLS": "ForTokenClassification", "SEQ_CLS": "ForSequenceClassification"}
# The number of a layer in the name of a tensor: what a head has none of.
_LAYER = re.compile(r"(^|\.)(layers|h|blocks|block)\.\d+\.")


@dataclass(frozen=True)
class AdaptedCheckpoint(Checkpoint):
    """A base with an adapter: the base's files, and the heads as the adapter has them.

    Attributes:
        base: the full weights.
        adapter: the adapter's tensors.
        adapter_folder: where the adapter's files stand.
        heads: the tensors outside the backbone that it changes, merged, as float32.
    """

    base: Checkpoint
    adapter: AdapterTensors
    adapter_folder: Path
    heads: Mapping[str, torch.Tensor] = field(repr=False)

    @property
    def changed(self) -> Collection[str]:
        """The tensors that do not stand in its files as they are read."""
        return self.heads.keys()

    @property
    def address(self) -> str:
        """What finds it from any working directory."""
        return str(self.adapter_folder.resolve()) if self.revision is None else self.name

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of every tensor."""
        changed = {key: tuple(tensor.shape) for key, tensor in self.heads.items()}
        return {**self.base.shapes, **changed}

    def tensor(self, key: str) -> torch.Tensor:
        """Read one tensor, as float32."""
        return self.heads[key] if key in self.heads else self.base.tensor(key)

    def rows(self, key: str, rows: Sequence[int]) -> torch.Tensor:
        """Read some rows of a matrix, as float32."""
        if key in self.heads:
            return self.heads[key][list(rows)]
        # Only tied embeddings are read here, as the output matrix that they are too.
        module = key.removesuffix("weight")
        for name in (*self.adapter.backbone_factors, *self.adapter.backbone_whole):
            if name.startswith((module, f"model.{module}")):
                raise InputError(
                    "embeddings that the adapter leaves as they are, because they are the output "
                    "matrix too, or an output matrix of its own",
                    got=f"{name!r} in {self.name}",
                    advice="save the merged model (peft's merge_and_unload) and load that",
                    where="load",
                )
        return self.base.rows(key, rows)


def open_model(
    model: str | Path,
    *,
    base: str | Path | None = None,
    adapter: AdapterUse = "auto",
    revision: str | None = None,
    show_progress: bool = False,
) -> Checkpoint:
    """Find a checkpoint, or an adapter and its base.

    Raises:
        ValueError: as `open_checkpoint`; an adapter beside full weights, without peft, whose base
            cannot be found or is another.
    """
    if adapter not in ADAPTER_USES:
        raise InputError(
            f"one of {', '.join(ADAPTER_USES)}",
            got=repr(adapter),
            advice="pass one of these",
            argument="adapter",
            where="load",
        )
    name = str(model)
    folder, commit = locate(name, revision, show_progress)
    found = (folder / ADAPTER_CONFIG).is_file()
    if not found and (adapter == "merge" or base is not None):
        raise InputError(
            f"an adapter (a folder with {ADAPTER_CONFIG}), which a base is for",
            got=f"{name}, which has none",
            advice=("leave ", Argument("base"), " and ", Argument("adapter"), " out"),
            argument="model",
            where="load",
        )
    if not found or adapter == "ignore":
        return open_checkpoint(model, revision=revision, show_progress=show_progress)
    config = read_json(folder / ADAPTER_CONFIG)
    if adapter == "auto":
        _refuse_two_models(name, folder, config)
    _require_peft(name)
    opened = _open_base(name, folder, config, base, show_progress)
    tensors = adapter_tensors(name, folder, opened.name, skeleton(opened))
    tensors.head_whole.update(_heads_beside(folder))
    heads = merged_heads(tensors, opened)
    return AdaptedCheckpoint(
        name=name,
        folder=opened.folder,
        revision=commit,
        config=_config(opened, folder, config, heads),
        files={**opened.files, **dict.fromkeys(heads, folder / ADAPTER_CONFIG)},
        stored=opened.stored,
        wrapped=opened.wrapped,
        base=opened,
        adapter=tensors,
        adapter_folder=folder,
        heads=heads,
    )


def with_tokenizer(checkpoint: Checkpoint) -> Checkpoint:
    """Give the checkpoint whose folder holds the tokenizer: an adapter's own, if it brings one."""
    if not isinstance(checkpoint, AdaptedCheckpoint):
        return checkpoint
    if any((checkpoint.adapter_folder / name).is_file() for name in _TOKENIZERS):
        return replace(checkpoint, folder=checkpoint.adapter_folder)
    return checkpoint.base


def home(checkpoint: Checkpoint) -> Path | None:
    """Give the folder that was asked for; None for a repository."""
    if checkpoint.revision is not None:
        return None
    if isinstance(checkpoint, AdaptedCheckpoint):
        return checkpoint.adapter_folder.resolve()
    return checkpoint.folder.resolve()


def load_merged_backbone(
    checkpoint: Checkpoint,
    *,
    dtype: torch.dtype | str,
    device: torch.device,
    head: Collection[str] = (),
    placing: Placing | None = None,
) -> torch.nn.Module:
    """Load the backbone of a checkpoint; of an adapter, its base's with the adapter merged into it.

    The arguments and errors are those of `load_backbone`.
    """
    if not isinstance(checkpoint, AdaptedCheckpoint):
        return load_backbone(checkpoint, dtype=dtype, device=device, head=head, placing=placing)
    # The adapter is added to the base's weights before these are rounded to another format.
    read_as = dtype if dtype == torch.float32 else "auto"
    in_memory = device if placing is None else torch.device("cpu")
    # Heads of the base that the adapter's takes the place of are no longer read.
    heads = [key for key in checkpoint.base.files if not _LAYER.search(key)]
    backbone = load_backbone(checkpoint.base, dtype=read_as, device=in_memory, head=heads)
    merged_as = dtype if isinstance(dtype, torch.dtype) else backbone.dtype
    merge_into_backbone(checkpoint.adapter, backbone, merged_as)  # type: ignore[arg-type]
    backbone.eval().requires_grad_(False)
    return backbone if placing is None else place(backbone, placing)


def loaded_weights(checkpoint: Checkpoint, backbone: torch.nn.Module) -> LoadedWeights:
    """Say what the weights of a loaded model are, beside their number format."""
    base = None
    if isinstance(checkpoint, AdaptedCheckpoint):
        commit = checkpoint.base.revision
        base = checkpoint.base.name + ("" if commit is None else f"@{commit}")
    return LoadedWeights(
        quantised=quantised(checkpoint.config), base=base, placed=placement(backbone)
    )


def _refuse_two_models(name: str, folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse to choose between an adapter and the full weights beside it."""
    full = sorted(
        {
            path.name
            for path, stored in _stored_beside(folder).items()
            if any(map(_LAYER.search, stored.shapes))
        }
    )
    if full:
        raise InputError(
            "one model in a folder",
            got=f"two in {name}: an adapter ({ADAPTER_CONFIG}, for the base "
            f"{config.get('base_model_name_or_path')!r}), and full weights ({full[0]})",
            advice=(
                "to merge the adapter into its base pass ",
                Argument("adapter", "merge"),
                ", and into the full weights beside it also ",
                Argument("base", name),
                "; to load the full weights alone, into which it may be merged already, pass ",
                Argument("adapter", "ignore"),
            ),
            argument="model",
            where="load",
        )


def _stored_beside(folder: Path) -> dict[Path, StoredTensors]:
    """Open the weights that stand beside an adapter's own."""
    found: dict[Path, StoredTensors] = {}
    for path in sorted((*folder.glob("*.safetensors"), *folder.glob("*.bin"))):
        if path.name.startswith(("adapter_", "training_args", "optimizer", "scheduler")):
            continue
        stored = stored_tensors(path)
        try:
            stored.shapes.keys()
        except InputError:
            if path.suffix != ".bin":
                raise
            continue  # trainers pickle more than weights
        found[path] = stored
    return found


def _heads_beside(folder: Path) -> dict[str, torch.Tensor]:
    """Read a head that stands in a file of its own, as TRL and LLaMA-Factory write value heads."""
    return {
        key: stored.tensor(key)
        for stored in _stored_beside(folder).values()
        if not any(map(_LAYER.search, stored.shapes))
        for key in stored.shapes
    }


def _require_peft(name: str) -> None:
    if find_spec("peft") is None:
        raise InputError(
            "peft, which merges an adapter into its base",
            got=f"the adapter {name}, and no peft that can be imported",
            advice='pip install "stepscore[adapters]", or save the merged model where it was '
            "trained (peft's merge_and_unload) and load that",
            argument="model",
            where="load",
        )


def _open_base(
    name: str,
    folder: Path,
    config: Mapping[str, Any],
    base: str | Path | None,
    show_progress: bool,
) -> Checkpoint:
    """Find the full weights that an adapter is merged into."""
    trained_on = config.get("base_model_name_or_path") or ""
    if base is not None:
        _refuse_another_base(name, str(trained_on), str(base))
    chosen = str(trained_on if base is None else base)
    if base is None and chosen and not Path(chosen).is_dir() and (folder / chosen).is_dir():
        chosen = str(folder / chosen)
    try:
        is_folder = Path(chosen).expanduser().is_dir()
        revision = None if is_folder or base is not None else config.get("revision")
        opened = open_checkpoint(chosen, revision=revision, show_progress=show_progress)
    except InputError as error:
        raise InputError(
            f"the base that the adapter {name} is merged into",
            got=f"{chosen!r}, as {'passed' if base is not None else ADAPTER_CONFIG} has it: "
            f"{InputError(error.expected, got=error.got)}",  # its place is not the caller's
            advice=("pass ", Argument("base"), ", the folder or the name of the full weights"),
            where="load",
        ) from error
    codes = quantised(opened.config)
    if codes is not None:
        raise InputError(
            "a base that is not quantised: codes cannot take an adapter in",
            got=f"{opened.name} ({codes}), the base of {name}",
            advice=("pass ", Argument("base"), ", the model that it was quantised from"),
            where="load",
        )
    return opened


def _refuse_another_base(name: str, trained_on: str, base: str) -> None:
    """Refuse a repository of another name; a folder may hold a copy of any."""
    if Path(base).expanduser().is_dir():
        return
    if not (_REPOSITORY.fullmatch(base) and _REPOSITORY.fullmatch(trained_on)):
        return
    expected, got = (
        _QUANTISED_COPY.sub("", path.split("/")[1].casefold()) for path in (trained_on, base)
    )
    if expected != got:
        raise InputError(
            f"{trained_on}, which the adapter {name} was trained on",
            got=base,
            advice="leave it out, or pass a folder that holds a copy",
            argument="base",
            where="load",
        )


def _config(
    base: Checkpoint, folder: Path, adapter: Mapping[str, Any], heads: Mapping[str, torch.Tensor]
) -> dict[str, Any]:
    """Give the config.json of the base as that of the model that was trained."""
    config = dict(base.config)
    task = _CLASS_OF_TASK.get(str(adapter.get("task_type")))
    if task is not None:
        classes = config.get("architectures") or []
        config["architectures"] = [re.sub(r"For\w+$", task, name) for name in classes]
    if heads.keys() <= base.shapes.keys():
        config["_name_or_path"] = base.name  # it is read as its base is
    else:
        config.pop("_name_or_path", None)
        config.pop("stepscore", None)
    beside = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    for entry in (adapter, beside):
        if "stepscore" in entry:
            config["stepscore"] = entry["stepscore"]
    return config
