"""fover-prm: the PRMs of FoVer, trained on steps that formal tools verified."""

from __future__ import annotations

from stepscore.recipes.layouts import CHATML, LLAMA_3_1, LabelTurns, chosen, rows_of_words
from stepscore.recipes.prompt_texts import FOVER_TASK
from stepscore.recipes.recipe import Published, Recipe

_CHATS = {"llama": (LLAMA_3_1, "dated"), "qwen": (CHATML, "qwen2.5")}
_IDS = {"Llama 3": (63054, 20523), "Qwen2.5": (61954, 19928)}


def fover_prm(model: str) -> Recipe:
    r"""Read FoVer's PRMs: :math:`r_k = \mathrm{softmax}(w_{incorrect} h,\; w_{correct} h)_1`.

    The first turn of the user holds the problem, the task and the first step under three headings,
    of which the last is misspelled as the model was trained; the further turns are the steps. The
    answer to each is ``correct``, and it is read at the last token of the header before it. The
    rows are those of the first ids of the two words. The author's aggregate is the minimum.

    Args:
        model: whose chat template is written: ``llama`` is that of Llama 3.1 with its dated system
            turn, ``qwen`` that of Qwen2.5 with its own.

    Raises:
        ValueError: another model.

    Source: psunlpgroup/FoVer, src/prm/preprocessing.py and src/prm/postprocessing.py.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.fover_prm("qwen").as_config()
        {'recipe': 'fover-prm', 'model': 'qwen'}
    """
    chat, system = chosen("model", model, _CHATS)
    layout = LabelTurns(chat, system, "correct", "** Problem **\n", FOVER_TASK)
    return Recipe.from_layout(
        layout,
        rows_of_words(("incorrect", "correct"), take="first", good=1, published=_IDS),
        name="fover-prm",
        confidence="author",
        source="psunlpgroup/FoVer, src/prm",
        default_aggregate="min",
        parameters=(("model", model),),
    )


_LLAMA = ("Llama-3.1-8B-FoVer-PRM", "Llama-3.1-8B-FoVer-PRM-2026")
PUBLISHED = Published(
    "fover-prm",
    fover_prm,
    {f"ryokamoi/{name}": {"model": "llama"} for name in _LLAMA}
    | {"ryokamoi/Qwen-2.5-7B-FoVer-PRM": {"model": "qwen"}},
)
