"""The backbone: a stock model without its language-model head, and its hidden states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from stepscore.hub import silenced_hub
from stepscore.scoring.checkpoint.folder import WRAPPER_PREFIX, Checkpoint
from stepscore.scoring.forward.key_values import Prefix, Segment
from stepscore.scoring.forward.layout import CacheWrite, Layout, laid_out
from stepscore.scoring.forward.plan import Plan

# Any id of the vocabulary does: nothing that is read can see a token to its right.
_FILL = 0


def load_backbone(
    checkpoint: Checkpoint, *, dtype: torch.dtype | str, device: torch.device
) -> torch.nn.Module:
    """Load the stock backbone of a checkpoint, from safetensors, and never with random weights.

    Code that the checkpoint may name (``auto_map``) is not run.

    Raises:
        ValueError: a model type that transformers does not know, attention that is not causal,
            weights that are missing or of another shape.
    """
    model_type = checkpoint.config.get("model_type")
    if model_type not in CONFIG_MAPPING:
        raise ValueError(
            f"load: model_type must be one that transformers {transformers.__version__} knows; "
            f"config.json of {checkpoint.name} says {model_type!r}; upgrade transformers (code "
            "inside a checkpoint is never run)"
        )
    if checkpoint.config.get("is_causal", True) is False:
        raise ValueError(
            "load: a step is scored by what stands before it, so the backbone must be causal; "
            f"config.json of {checkpoint.name} says is_causal false; use a causal checkpoint"
        )
    options: dict[str, Any] = {_dtype_argument(): dtype}
    if checkpoint.wrapped:
        options["key_mapping"] = {f"^{WRAPPER_PREFIX.replace('.', chr(92) + '.')}": ""}
    try:
        with silenced_hub():
            config = AutoConfig.from_pretrained(
                checkpoint.folder, trust_remote_code=False, local_files_only=True
            )
            config.__dict__.pop("auto_map", None)
            model, info = AutoModel.from_pretrained(
                checkpoint.folder,
                config=config,
                trust_remote_code=False,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                **options,
            )
    except RuntimeError as error:
        raise ValueError(
            f"load: the weights of {checkpoint.name} must fit the {model_type} backbone of its "
            f"config.json; transformers says: {error}; use the config.json and the weights of one "
            "checkpoint"
        ) from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise ValueError(
            f"load: the checkpoint must hold every weight of its {model_type} backbone; "
            f"{checkpoint.name} lacks {len(missing)}: "
            f"{', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}; they would have been "
            "random; use a complete checkpoint"
        )
    backbone: torch.nn.Module = model.eval().requires_grad_(False).to(device)
    return backbone


def _dtype_argument() -> str:
    """The name that transformers has for it: torch_dtype before 4.56."""
    major, minor = (int(part) for part in transformers.__version__.split(".")[:2])
    return "dtype" if (major, minor) >= (4, 56) else "torch_dtype"


@torch.inference_mode()
def hidden_states(
    backbone: torch.nn.Module,
    plan: Plan,
    *,
    paths: Sequence[Prefix | None] = (None,),
    keep: dict[int, Prefix] | None = None,
) -> Iterator[torch.Tensor]:
    """Forward the batches of a plan: hidden states after the final norm, ``[rows, H]`` of each.

    Args:
        backbone: the stock model.
        plan: what is forwarded.
        paths: what the traces of each group continue.
        keep: gets, for every piece of the plan, the path that ends with it, with all keys and
            values; None keeps them for as long as a piece of the plan continues them.
    """
    _check_ids(backbone, plan.token_ids)
    if plan.padded:
        for batch in range(len(plan)):
            yield _padded(backbone, plan, batch)
        return
    ends = _Ends(plan, paths, keep)
    for batch in range(len(plan)):
        layout = ends.layout(batch, _device(backbone))
        yield _packed(backbone, plan, batch, layout)
        ends.release(batch)


class _Ends:
    """The path that ends with each piece of a plan, from its batch to the last that continues it.

    A run of pieces is one segment. Where everything is kept, a run that alone continues the last
    token of another segment goes on in that one, so that a trace that grows without forks stays in
    one place; but not in a root, which is often the problem of many traces.
    """

    def __init__(
        self, plan: Plan, paths: Sequence[Prefix | None], keep: dict[int, Prefix] | None
    ) -> None:
        self._plan = plan
        self._given = paths
        self._keep_all = keep is not None
        self._ends: dict[int, Prefix] = {} if keep is None else keep
        batch_of = np.repeat(np.arange(len(plan)), np.diff(plan.batches))
        children = np.flatnonzero(plan.parent >= 0)
        self._last_use = np.full(len(plan.parent), -1)
        np.maximum.at(self._last_use, plan.parent[children], batch_of[children])
        self._run_length = np.zeros(int(plan.run.max(initial=-1)) + 1, dtype=np.int64)
        np.maximum.at(self._run_length, plan.run, plan.within + plan.lengths)
        # What each piece continues, as one number, and how many runs continue it.
        place = np.where(plan.parent >= 0, plan.parent, -1 - plan.group)
        first = plan.within == 0
        _, inverse, counts = np.unique(place[first], return_inverse=True, return_counts=True)
        self._alone = np.zeros(len(plan.parent), dtype=np.bool_)
        self._alone[first] = counts[inverse] == 1

    def layout(self, batch: int, device: torch.device) -> Layout:
        """Say how the tokens of a batch see each other."""
        plan = self._plan
        pieces = plan.pieces(batch)
        offsets = plan.offsets[pieces.start : pieces.stop + 1] - plan.offsets[pieces.start]
        paths, kept = [], []
        for piece, begin, end in zip(pieces, offsets[:-1], offsets[1:], strict=True):
            path = self._path(piece)
            paths.append(path)
            if self._keep_all or self._last_use[piece] >= 0:
                segment, at = self._place(piece, path)
                kept.append(CacheWrite(int(begin), int(end), segment, at))
                self._ends[piece] = Prefix(segment, at + int(end - begin))
        return Layout(offsets, paths, kept, device)

    def release(self, batch: int) -> None:
        """Let go of what no later batch continues."""
        if not self._keep_all:
            for piece in [piece for piece in self._ends if self._last_use[piece] <= batch]:
                del self._ends[piece]

    def _path(self, piece: int) -> Prefix | None:
        parent = int(self._plan.parent[piece])
        return self._given[self._plan.group[piece]] if parent < 0 else self._ends[parent]

    def _place(self, piece: int, path: Prefix | None) -> tuple[Segment, int]:
        """The segment that holds a piece, and where in it the piece begins."""
        length = int(self._plan.lengths[piece])
        if self._plan.within[piece]:
            assert path is not None
            return path.segment, path.segment.reserve(length)
        if self._keep_all and self._alone[piece] and path is not None:
            end = path.segment
            if end.prefix is not None and end.used == path.length and not end.dropped:
                return end, end.reserve(length)
        segment = Segment(int(self._run_length[self._plan.run[piece]]), path)
        return segment, segment.reserve(length)


def _packed(backbone: torch.nn.Module, plan: Plan, batch: int, layout: Layout) -> torch.Tensor:
    """Forward pieces one behind the other; every layer but attention sees one long row."""
    pieces = plan.pieces(batch)
    begin, end = plan.offsets[pieces.start], plan.offsets[pieces.stop]
    shift = plan.start[pieces.start : pieces.stop] - plan.offsets[pieces.start : pieces.stop]
    lengths = plan.lengths[pieces.start : pieces.stop]
    positions = np.arange(begin, end) + np.repeat(shift, lengths)
    device = _device(backbone)
    with laid_out(layout):
        hidden: torch.Tensor = backbone(
            input_ids=_to(device, plan.token_ids[None, begin:end].astype(np.int64)),
            position_ids=_to(device, positions[None]),
            use_cache=False,
        ).last_hidden_state
    return hidden[0]


def _padded(backbone: torch.nn.Module, plan: Plan, batch: int) -> torch.Tensor:
    """Forward pieces as rows of equal length, filled up on the right.

    No attention mask is passed. Attention is causal and the padding stands on the right, so that no
    token that is read can see it; a mask would change nothing but the cost, because with one the
    attention kernels need the ``[rows, 1, longest, longest]`` matrix of it.
    """
    pieces = plan.pieces(batch)
    rows = np.full((len(pieces), plan.widths[pieces.start]), _FILL, dtype=np.int64)
    for row, piece in zip(rows, pieces, strict=True):
        row[: plan.lengths[piece]] = plan.token_ids[plan.offsets[piece] : plan.offsets[piece + 1]]
    hidden: torch.Tensor = backbone(
        input_ids=_to(_device(backbone), rows), use_cache=False
    ).last_hidden_state
    return hidden.flatten(0, 1)


def _to(device: torch.device, values: NDArray[np.int64]) -> torch.Tensor:
    """Bring values to a device without waiting for it."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def _device(backbone: torch.nn.Module) -> torch.device:
    return next(backbone.parameters()).device


def _check_ids(backbone: torch.nn.Module, token_ids: NDArray[np.int32]) -> None:
    rows = backbone.get_input_embeddings().num_embeddings  # type: ignore[operator]
    # On a GPU the lookup itself would end the process's CUDA context.
    if token_ids.size and token_ids.max() >= rows:
        raise ValueError(
            f"score: every token must have one of the model's {rows} embeddings; got the id "
            f"{token_ids.max()}; use the tokenizer that was published with the checkpoint"
        )
