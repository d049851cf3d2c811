"""Branches of a Hugging Face repository that hold its weights as safetensors.

A repository of old pickles often has such a branch: a pull request (``refs/pr/N``) of the hub's own
converter that nobody merged.
"""

from __future__ import annotations

from pathlib import Path

from stepscore.errors import Argument, Words
from stepscore.hub import silenced_hub

_SUFFIX = ".safetensors"
# Requests for a sentence of an error message: the newest branches that are looked into.
_MOST = 8


def advice_with_branch(name: str, folder: Path, commit: str | None) -> Words | None:
    """Say which revision to pass; None where no branch with safetensors is known.

    Args:
        name: of a repository, or a folder.
        folder: its snapshot in the cache.
        commit: that of the snapshot; None for a folder, which has no branches.
    """
    if commit is None:
        return None
    branch = _in_cache(folder) or _on_hub(name)
    return None if branch is None else ("pass ", Argument("revision", branch), ", which has them")


def _in_cache(folder: Path) -> str | None:
    """Find a branch in the cache: refs/<branch> holds the commit of a snapshot."""
    repository = folder.parent.parent
    refs = repository / "refs"
    for path in sorted(refs.rglob("*")):
        if path.is_file():
            snapshot = repository / "snapshots" / path.read_text(encoding="utf-8").strip()
            if any(snapshot.glob(f"*{_SUFFIX}")):
                return path.relative_to(refs).as_posix()
    return None


def _on_hub(name: str) -> str | None:
    """Ask the hub, which may be out of reach: then there is no advice, and no other error."""
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        with silenced_hub():
            refs = api.list_repo_refs(name, include_pull_requests=True)
            branches = [*refs.branches, *(refs.pull_requests or ())]
            for branch in branches[: -_MOST - 1 : -1]:
                files = api.list_repo_files(name, revision=branch.ref)
                if any(file.endswith(_SUFFIX) for file in files):
                    return str(branch.ref).removeprefix("refs/heads/")
    except (OSError, ValueError, RuntimeError):
        return None
    return None
