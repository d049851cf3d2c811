"""Recipes that users describe: fields over the layouts and heads that are there."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, get_args

from stepscore.ops.aggregate import Aggregation
from stepscore.recipes.recipe import Readout, Recipe
from stepscore.recipes.user_defined_fields import (
    Field,
    Place,
    choice,
    read_fields,
    some_text,
    texts,
)
from stepscore.recipes.user_defined_layouts import LAYOUTS
from stepscore.recipes.user_defined_readouts import read_head, read_readings

# Those that are no number, or another one than meant, of a score outside [0, 1].
_OF_PROBABILITIES = frozenset({"prod", "geometric_mean", "logit_mean", "odds_mean"})


def _as_given(_: Place, value: Any) -> Any:
    return value


# The fields that every description has.
_GENERAL = {
    "name": Field(some_text, "what the recipe is called"),
    "layout": Field(choice(*LAYOUTS), f"one of {', '.join(LAYOUTS)}"),
    "head": Field(
        read_head, "the head: {layers: [...], outputs: N}, {words: [...]} or {vocabulary: mean}"
    ),
    # Read when the head is known.
    "readings": Field(_as_given, "what is read from the head's outputs, the score first"),
    "default_aggregate": Field(choice(*get_args(Aggregation)), "how step scores become one", None),
    "length_key": Field(
        some_text, "the entry of config.json that limits a trace", "max_position_embeddings"
    ),
    "source": Field(some_text, "where it comes from", None),
    "unverified": Field(texts, "what nobody has confirmed", ()),
}


def user_defined(
    description: Mapping[str, Any], *, source: str = "user_defined", taken: Collection[str] = ()
) -> Recipe:
    r"""Make a recipe of a description.

    score :math:`= \sum_i w_i\, a(z)_i` of the first reading, where :math:`z` is the head at the
    position that the layout gives each step.

    Every description has ``name``, ``layout``, ``head`` and ``readings``, and may have
    ``default_aggregate``, ``length_key``, ``source`` and ``unverified``. ``head`` is
    ``{layers: [...], outputs: N}``; ``{words: [...]}``, whose rows of the output matrix are read;
    or ``{vocabulary: mean}``, which reads all logits, with a module over them in place of ``mean``,
    which ``file`` may hold.
    A reading has ``activation`` and ``output`` or ``weights``. The layouts and their fields:

    - ``tagged-text``: one text, prompt + joiner.join(step + tag) + after, read at every tag.
      ``prompt`` with ``{problem}``, ``tag``, ``special_tokens``; perhaps ``step`` with ``{step}``
      and ``{number}``, ``numbering``, ``joiner``, ``after``, ``added_tokens``, ``split``.
    - ``chat``: the same in the assistant's turn. ``format`` (``chatml`` or ``llama-3``), ``tag``,
      which must be an added token; perhaps ``system``, ``user``, ``step``, ``joiner``, ``split``.
    - ``label-turns``: a step is a user's turn, ``label`` the answer to each, and it is read where
      the answer is said. ``format``, ``label``, ``user`` with ``{problem}``; perhaps ``system``,
      ``strips``, ``split``.
    - ``text-end``: one text, prompt + joiner.join(steps) + after, read at its last token.
      ``prompt``, ``unit``, ``joiner``, ``special_tokens``; perhaps ``after``, ``end_token``,
      ``added_tokens``, ``split``.
    - ``separate-parts``: every part encoded alone, read at the last token of each separator.
      ``separator``, ``bos``; perhaps ``prompt``, ``separator_ids``, ``blanks``.
    - ``prefix-probe``: the assistant's turn of a chat holds the steps so far, and behind them a
      probe, read at its last token, that later steps do not see. ``format``, ``probe``; perhaps
      ``eos``, ``system``, ``user``, ``joiner``, ``marker``, ``tokenisation``, ``added_tokens``.
    - ``removed-tags``: one text, in which the padding token marks where steps end and is taken out
      again. ``prompt``; perhaps ``read``.

    `docs/recipes.md` says what each of them means.

    Args:
        description: the fields, as a file of YAML or JSON holds them.
        source: the file, for messages.
        taken: names that it must not have.

    Returns:
        A recipe of the confidence ``user``. ``recipe.as_config()["recipe"]`` is the description.

    Raises:
        ValueError: a field that there is not, with the nearest one; one that is missing; a value
            that is none; a prompt without its placeholder. What only a tokenizer can tell, such as
            a tag of two tokens, is found when a model is loaded.

    Examples:
        >>> import stepscore
        >>> recipe = stepscore.recipes.user_defined({
        ...     "name": "my-prm", "layout": "separate-parts", "separator": "\n", "bos": "id",
        ...     "head": {"layers": ["score"], "outputs": 2},
        ...     "readings": [{"activation": "softmax", "output": 1}],
        ... })
        >>> recipe.confidence, recipe.score_range
        ('user', (0.0, 1.0))
    """
    place = Place(source)
    if not isinstance(description, Mapping) or "layout" not in description:
        every = [field for layout in LAYOUTS.values() for field in layout.fields.items()]
        read_fields(place, description, {**_GENERAL, **dict(every)}, "a recipe")
    layout_name = _GENERAL["layout"].read(place.at("layout"), description["layout"])
    described = LAYOUTS[layout_name]
    of = f"a recipe of the layout {layout_name}"
    values = read_fields(place, description, {**_GENERAL, **described.fields}, of)
    if values["name"] in taken:
        raise place.at("name").fault(
            "a name that no published recipe has", repr(values["name"]), "choose another one"
        )
    head: Readout = values["head"]
    readings = read_readings(head.head.outputs)(place.at("readings"), values["readings"])
    how, (low, high) = values["default_aggregate"], readings[0].score_range
    if how in _OF_PROBABILITIES and not 0 <= low < high <= 1:
        raise place.at("default_aggregate").fault(
            "an aggregate of scores outside [0, 1], such as min or mean",
            f"{how!r} of scores in [{low:g}, {high:g}]",
        )
    recipe = Recipe.from_layout(
        described.build(place, values),
        replace(head, readings=readings),
        name=values["name"],
        confidence="user",
        source=values["source"] or source,
        default_aggregate=how,
        length_key=values["length_key"],
        unverified=values["unverified"],
    )
    return replace(recipe, description=json.dumps(description, ensure_ascii=False))
