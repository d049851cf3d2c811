r"""eurus-implicit-prm: EurusPRM-Stage1 and -Stage2, and ImplicitPRM_DPO and _CE."""

from __future__ import annotations

from stepscore.recipes.layouts.implicit_prm import ImplicitPrm
from stepscore.recipes.likelihood import StepSum
from stepscore.recipes.recipe import Published, Recipe


def eurus_implicit_prm(
    *,
    reference: str | None,
    coef: float | str,
    reading: StepSum = "accumulative",
    variant: str = "card",
    template: str | None = None,
    system: str | None = None,
) -> Recipe:
    r"""Read implicit PRMs, the log-ratio of two language models:

    :math:`r_k = \beta \sum_{t=a}^{e_k} \left(\log p(x_t | x_{<t})
    - \log p_\mathrm{ref}(x_t | x_{<t})\right)`

    A chat of a user and an assistant turn, which holds the steps with a blank line between them;
    :math:`a` and :math:`e_k`, the tokens that bound the sums, are those of the authors' code, which
    differ from where steps end by a token or two: see
    `stepscore.recipes.layouts.likelihood_chat.LikelihoodChat`. The last step counts the end of the
    turn, too, and no token is masked. Because the end of a step's sum depends on what follows it,
    there are no sessions and no tree searches with this recipe; candidates are scored whole, and
    each unique token goes through each model once.

    Both models are in memory at once, each with its output matrix. ``load(..., device="cuda:0",
    reference_device="cuda:1")`` puts them on a device each. The models must have one vocabulary.

    Args:
        reference: the model of :math:`p_\mathrm{ref}`, a folder or a repository; None leaves it
            out, which the authors also report. The card of EurusPRM names
            Qwen/Qwen2.5-Math-7B-Instruct, the authors' script for ProcessBench
            Qwen2.5-7B-Instruct; ImplicitPRM_DPO has meta-llama/Llama-3.1-8B-Instruct.
        coef: :math:`\beta`: 0.001 in the card and the code, 0.005 in that script.
        reading: ``accumulative`` is the sum above; ``single`` is what a step adds to it. The other
            one is in `StepScores.readings`.
        variant: ``card``, ``processbench`` or ``best_of_n``: which of the authors' codes bounds the
            sums and writes the steps; see
            `stepscore.recipes.layouts.implicit_prm.ImplicitPrm`.
        template: ``qwen2.5``, or ``llama-3`` for ImplicitPRM_DPO and _CE; None takes the one whose
            marks the tokenizer has.
        system: the text of the system turn, "" for none; None takes what the chat template of the
            model's tokenizer writes where none is passed, as the authors do.

    Source: PRIME-RL/ImplicitPRM and arXiv 2412.01981; the cards of EurusPRM.

    Examples:
        >>> import stepscore
        >>> recipe = stepscore.recipes.eurus_implicit_prm(
        ...     reference="Qwen/Qwen2.5-Math-7B-Instruct", coef=0.001
        ... )
        >>> recipe.head.likelihood.sums
        ('accumulative', 'single')
    """
    chat = ImplicitPrm(reference, coef, reading, variant, template, system)
    return chat.recipe("eurus-implicit-prm")


PUBLISHED = Published(
    "eurus-implicit-prm",
    eurus_implicit_prm,
    repositories={
        **{f"PRIME-RL/EurusPRM-Stage{stage}": {} for stage in (1, 2)},
        **{f"Windy0822/ImplicitPRM_{way}": {} for way in ("DPO", "CE")},
    },
)
