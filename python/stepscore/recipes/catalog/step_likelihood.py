"""step-likelihood: how likely a language model finds a step, such as one that a rationale leads to.

The likelihood of a step given a rationale is that of RATIONALYST (arXiv 2410.01044).
"""

from __future__ import annotations

from stepscore.recipes.layouts.likelihood_text import LikelihoodText
from stepscore.recipes.layouts.log_ratio import log_ratio
from stepscore.recipes.likelihood import NO_REFERENCE, StepSum
from stepscore.recipes.recipe import Published, Recipe


def step_likelihood(
    *, joiner: str = "\n", reading: StepSum = "mean", reference: str | None = None
) -> Recipe:
    r"""Read how likely a causal language model finds each step:

    :math:`r_k = \frac{1}{|x^{(k)}|} \sum_{t} \log p(x^{(k)}_t | x, x^{(<k)}, x^{(k)}_{<t})`

    ids = bos + enc(problem) + [enc(joiner + step) for every step]; the joiner counts with its step.
    Any causal language model will do. For the likelihood of a step given a rationale, the problem
    is the question, the steps so far and the rationale, and the candidates are next steps. For what
    the released script of RATIONALYST reads, the mean log-probability of a rationale behind a
    trajectory, the rationale is the step.

    Args:
        joiner: stands in front of each step.
        reading: ``mean`` is the mean above; ``single`` the sum of a step's tokens and
            ``accumulative`` that of all so far. The others are in `StepScores.readings`.
        reference: another model of the same vocabulary, of which the log-probabilities are taken
            off; None takes nothing off.

    Source: JHU-CLSP/RATIONALYST, for the mean over the tokens; its prompts are not part of this.

    Examples:
        >>> import stepscore
        >>> stepscore.recipes.step_likelihood(reading="single").head.likelihood.sums
        ('single', 'accumulative')
    """
    return Recipe.from_layout(
        LikelihoodText(name="step-likelihood", joiner=joiner),
        log_ratio("step-likelihood", reading, coef=1.0, reference=reference),
        name="step-likelihood",
        confidence="unverified",
        source="JHU-CLSP/RATIONALYST",
        parameters=(
            ("joiner", joiner),
            ("reading", reading),
            ("reference", reference or NO_REFERENCE),
        ),
        unverified=("the text around problem and steps, which is the caller's",),
    )


PUBLISHED = Published("step-likelihood", step_likelihood)
