"""Weight files: which are read, that nothing in them is executed, and what is damaged."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import models
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import stepscore
from stepscore.errors import InputError

INDEX = "model.safetensors.index.json"


@pytest.fixture
def copy(tiny, tmp_path):
    """A checkpoint of one's own to spoil: copy(kind) -> its folder."""

    def make(kind: str) -> Path:
        return Path(shutil.copytree(tiny(kind).folder, tmp_path / kind))

    return make


def pickled(folder: Path, *, legacy: bool = False) -> Path:
    """Turn a folder's safetensors into what torch.save writes, shards into shards."""

    def to_bin(name: str) -> str:
        return name.replace("model", "pytorch_model", 1).replace(".safetensors", ".bin")

    for path in folder.glob("*.safetensors"):
        torch.save(
            load_file(path),
            folder / to_bin(path.name),
            _use_new_zipfile_serialization=not legacy,
        )
        path.unlink()
    if (folder / INDEX).is_file():
        index = json.loads((folder / INDEX).read_text())
        index["weight_map"] = {key: to_bin(file) for key, file in index["weight_map"].items()}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
        (folder / INDEX).unlink()
    return folder


@pytest.mark.parametrize(
    "kind", ["qwen-sharded", "shepherd", "shepherd-sharded", "skywork", "skywork-wrapped", "trl"]
)
def test_pickles_give_the_scores_of_safetensors(kind, copy, tiny, loaded, mixed):
    expected = loaded(kind).score(*mixed)
    folder = pickled(copy(kind))
    assert not list(folder.glob("*.safetensors"))
    got = stepscore.load(folder, recipe=tiny(kind).recipe).score(*mixed)
    np.testing.assert_array_equal(got.values, expected.values)


def test_a_pickle_of_the_format_before_torch_1_6_is_read(copy, loaded, mixed):
    folder = pickled(copy("trl"), legacy=True)
    got = stepscore.load(folder).score(*mixed)
    np.testing.assert_array_equal(got.values, loaded("trl").score(*mixed).values)


class Payload:
    """What a pickle executes where it may: it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("where", ["only shard", "second shard"])
def test_nothing_in_a_pickle_is_executed(where, legacy, copy, tmp_path):
    folder = pickled(copy("qwen-sharded" if where == "second shard" else "trl"))
    path = sorted(folder.glob("pytorch_model*.bin"))[where == "second shard"]
    mark = tmp_path / "executed"
    tensors = torch.load(path, weights_only=True)
    content = {**tensors, "more": Payload(mark)}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    torch.load(path, weights_only=False)  # the payload is one
    mark.rmdir()
    with pytest.raises(InputError, match=r"nothing in a pickle is executed.*asks for posix\.mkdir"):
        stepscore.load(folder)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {"a": torch.ones(2)}, "epoch": 3}, r"got 'model' \(dict\), 'epoch' \(int\)"),
        (torch.ones(3), "got a Tensor;"),
        ([torch.ones(3)], "got a list;"),
    ],
)
def test_a_pickle_of_something_else_is_refused(content, message, copy):
    folder = pickled(copy("trl"))
    torch.save(content, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=message):
        stepscore.load(folder)


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(4000))


def page(path: Path) -> None:
    path.write_text("<html>404</html>")


def foreign(path: Path) -> None:
    path.write_bytes(pickle.dumps({"weights": [1, 2]}))


@pytest.mark.parametrize("spoil", [cut, empty, garbage, page, foreign])
@pytest.mark.parametrize("as_pickle", [False, True])
def test_a_damaged_file_is_named(spoil, as_pickle, copy):
    folder = copy("qwen-sharded")
    path = sorted((pickled(folder) if as_pickle else folder).glob("*-00002-of-*"))[0]
    spoil(path)
    with pytest.raises(InputError, match=rf"^load: expected .*{path.name}"):
        stepscore.load(folder)


def test_a_pointer_of_git_lfs_is_named(copy):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    for name in ("model.safetensors", "config.json"):
        folder = copy("trl")
        (folder / name).write_text(pointer)
        with pytest.raises(InputError, match=rf"{name}; got a pointer of Git LFS.*lfs pull"):
            stepscore.load(folder)
        shutil.rmtree(folder)


def rewrite_index(folder: Path, change) -> None:
    index = json.loads((folder / INDEX).read_text())
    change(index["weight_map"])
    (folder / INDEX).write_text(json.dumps(index))


FIRST, SECOND = (f"model-0000{number}-of-00003.safetensors" for number in (1, 2))
EMBEDDINGS = "model.embed_tokens.weight"


def test_an_index_that_says_what_is_not_so_is_refused(copy):
    lies = {
        f"'{EMBEDDINGS}' in {FIRST}, of which the index says {SECOND}": lambda m: m.update(
            {EMBEDDINGS: SECOND}
        ),
        "'lost' in no shard, of which the index says": lambda m: m.update({"lost": FIRST}),
        f"'{EMBEDDINGS}' in {FIRST}, of which the index says nothing": lambda m: m.pop(EMBEDDINGS),
    }
    for message, lie in lies.items():
        folder = copy("qwen-sharded")
        rewrite_index(folder, lie)
        with pytest.raises(InputError, match=message):
            stepscore.load(folder)
        shutil.rmtree(folder)


def test_a_tensor_in_two_shards_is_refused(copy):
    folder = copy("qwen-sharded")
    second = load_file(folder / SECOND)
    extra = {EMBEDDINGS: load_file(folder / FIRST)[EMBEDDINGS] + 1}
    save_file({**second, **extra}, folder / SECOND, metadata={"format": "pt"})
    with pytest.raises(InputError, match=f"'{EMBEDDINGS}' in {FIRST} and {SECOND}"):
        stepscore.load(folder)


@pytest.mark.parametrize("file", ["../other.safetensors", "/etc/passwd", 3])
def test_an_index_names_files_beside_it(file, copy):
    folder = copy("qwen-sharded")
    rewrite_index(folder, lambda weight_map: weight_map.update({EMBEDDINGS: file}))
    with pytest.raises(InputError, match="the name of a file beside it"):
        stepscore.load(folder)


def test_two_sets_of_weights_are_refused(copy):
    folder = copy("qwen-sharded")
    shutil.copy(folder / FIRST, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"model\.safetensors, or in the shards.*got both"):
        stepscore.load(folder)


def test_safetensors_come_before_pickles(copy, loaded, mixed):
    folder = copy("trl")
    (folder / "pytorch_model.bin").write_bytes(b"no pickle")
    got = stepscore.load(folder).score(*mixed)
    np.testing.assert_array_equal(got.values, loaded("trl").score(*mixed).values)


def test_a_tensor_inside_and_outside_of_the_wrapper_is_refused(copy):
    folder = copy("skywork")
    tensors = models.tensors_of(folder)
    tensors[f"pretrained_model.{EMBEDDINGS}"] = tensors[EMBEDDINGS] + 1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=f"once in .*'{EMBEDDINGS}' and 'pretrained_model"):
        stepscore.load(folder)


def test_a_folder_of_gguf_files_is_named(tmp_path, copy):
    (tmp_path / "prm.Q4_K_M.gguf").write_bytes(b"GGUF")
    with pytest.raises(InputError, match=r"prm\.Q4_K_M\.gguf, and GGUF files hold no head"):
        stepscore.load(tmp_path)
    folder = copy("trl")
    (folder / "model.safetensors").rename(folder / "model.gguf")
    with pytest.raises(InputError, match=r"got model\.gguf in .*; a GGUF file holds rounded"):
        stepscore.load(folder)
    with pytest.raises(InputError, match=rf"got the file .*; pass {folder}, where it stands"):
        stepscore.load(folder / "model.gguf")


REPOSITORY, COMMIT, PULL = "someone/old-prm", "0" * 40, "1" * 40


def cached(monkeypatch, home: Path, folder: Path, *, with_pull_request: bool) -> None:
    """Put a folder into a cache of the hub, as the branch main of a repository."""
    repository = home / f"models--{REPOSITORY.replace('/', '--')}"
    shutil.copytree(folder, repository / "snapshots" / COMMIT)
    refs = {"main": COMMIT}
    if with_pull_request:
        refs["refs/pr/7"] = PULL
        other = repository / "snapshots" / PULL
        other.mkdir()
        (other / "model.safetensors").write_bytes(b"")
    for ref, commit in refs.items():
        path = repository / "refs" / ref
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(commit)
    import huggingface_hub

    def snapshot_download(name, *, revision=None, allow_patterns):
        assert name == REPOSITORY
        return str(repository / "snapshots" / refs[revision or "main"])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)


def test_a_repository_of_pickles_loads(copy, tmp_path, monkeypatch, loaded, mixed):
    cached(monkeypatch, tmp_path / "hub", pickled(copy("trl")), with_pull_request=False)
    got = stepscore.load(REPOSITORY).score(*mixed)
    np.testing.assert_array_equal(got.values, loaded("trl").score(*mixed).values)


@pytest.mark.parametrize("where", ["cache", "hub", "nowhere"])
def test_a_branch_with_safetensors_is_named(where, copy, tmp_path, monkeypatch):
    folder = pickled(copy("trl"))
    (folder / "pytorch_model.bin").write_bytes(b"no pickle")
    cached(monkeypatch, tmp_path / "hub", folder, with_pull_request=where == "cache")

    class Hub:
        def list_repo_refs(self, name, *, include_pull_requests):
            assert name == REPOSITORY
            assert include_pull_requests
            if where != "hub":
                raise OSError("out of reach")
            refs = [SimpleNamespace(ref=f"refs/pr/{number}") for number in (2, 9, 11)]
            main = SimpleNamespace(ref="refs/heads/main")
            return SimpleNamespace(branches=[main], pull_requests=refs)

        def list_repo_files(self, name, *, revision):
            return ["config.json", *(["model.safetensors"] if revision == "refs/pr/9" else [])]

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    advice = {
        "cache": r"pass revision='refs/pr/7', which has them",
        "hub": r"pass revision='refs/pr/9', which has them",
        "nowhere": "fetch the file again",
    }
    with pytest.raises(InputError, match=f"pytorch_model.bin.*{advice[where]}$"):
        stepscore.load(REPOSITORY)
