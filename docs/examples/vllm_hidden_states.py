"""Step scores from the files that vLLM writes with ``extract_hidden_states``.

Its connector writes a safetensors file for each request: ``token_ids`` [tokens] and
``hidden_states`` [tokens, layers, H] of the layers that were asked for. The layer with the number
``num_hidden_layers`` is the last one's output, without the final norm, which `read` applies to the
rows that it reads. vLLM is asked for it like this:

    LLM(model, speculative_config={"method": "extract_hidden_states", "num_speculative_tokens": 1,
            "draft_model_config": {"hf_config": {"eagle_aux_hidden_state_layer_ids": [28]}}},
        kv_transfer_config={"kv_connector": "ExampleHiddenStatesConnector",
            "kv_role": "kv_producer",
            "kv_connector_extra_config": {"shared_storage_path": "states"}})

and each output names its file in ``output.kv_transfer_params["hidden_states_path"]``. Here the
files are written by a stock model, in the same layout.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, logging

import stepscore
from stepscore import lab

logging.set_verbosity_error()  # it would tell that the PRM's head is not part of the backbone
logging.disable_progress_bar()
FOLDER = Path(lab.__file__).parent / "weights" / "prm"

problems = lab.generate(4, seed=12, split="eval")
solutions = [texts[0] for texts in lab.load_policy().sample(problems, 1, seed=0)]
steps = [lab.split_steps(text) for text in solutions]
head = stepscore.load_head(FOLDER)


def write_as_vllm_does(folder: Path) -> list[Path]:
    """One file for each trace, with an inner layer and the last one."""
    model = AutoModel.from_pretrained(FOLDER).eval()
    last: list[torch.Tensor] = []
    model.norm.register_forward_pre_hook(lambda _, inputs: last.append(inputs[0][0]))
    laid_out = head.recipe.encode(head.tokenizer, problems, steps)
    paths = []
    for number, ids in enumerate(np.split(laid_out.token_ids, laid_out.offsets[1:-1])):
        token_ids = torch.from_numpy(ids).long()
        with torch.no_grad():
            inner = model(token_ids[None], output_hidden_states=True).hidden_states[2][0]
        states = torch.stack([inner, last[-1]], dim=1)
        paths.append(folder / f"{number}.safetensors")
        save_file({"hidden_states": states, "token_ids": token_ids}, paths[-1])
    return paths


with tempfile.TemporaryDirectory() as folder:
    files = [load_file(path) for path in write_as_vllm_does(Path(folder))]

token_ids = torch.cat([file["token_ids"] for file in files])
offsets = np.concatenate([[0], np.cumsum([len(file["token_ids"]) for file in files])])
hidden = torch.cat([file["hidden_states"][:, -1] for file in files])  # the last layer's

scores = head.read(
    hidden, token_ids, offsets, norm=head.norm, step_counts=[len(each) for each in steps]
)
for problem, values, total in zip(problems, scores, scores.aggregate("min"), strict=True):
    print(f"{problem:28} {len(values)} steps, the weakest {total:.2f}")

# Without the norm the scores would be wrong and look like scores; the states themselves tell.
try:
    head.read(hidden, token_ids, offsets, step_counts=[len(each) for each in steps])
except ValueError as error:
    print(error)

expected = stepscore.load("lab").score(problems, steps)
assert np.allclose(scores.values, expected.values, atol=1e-5)
