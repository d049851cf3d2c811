"""RM-R1: reasoning reward models that answer ``<answer>[[A]]</answer>``."""

from __future__ import annotations

from stepscore.scoring.pairs.verifier import PairVerifier, pair_verifier

_SHOWN = (
    "[Client Question]\n{problem}\n\n[The Start of Chatbot A's Response]\n{first}\n"
    "[The End of Chatbot A's Response]\n\n[The Start of Chatbot B's Response]\n{second}\n"
    "[The End of Chatbot B's Response]"
)
_DISTILLED = (
    "Please act as an impartial judge and evaluate the quality of the responses provided by two "
    f"AI Chatbots to the Client question displayed below. \n\n{_SHOWN}\n\n"
    "Output your final verdict at last by strictly following this format: "
    "'<answer>[[A]]</answer>' if Chatbot A is better, or '<answer>[[B]]</answer>' if Chatbot B is "
    "better."
)
_SYSTEM = """\
Please act as an impartial judge and evaluate the quality of the responses provided by two AI \
Chatbots to the Client's question displayed below.

First, classify the task into one of two categories: <type>Reasoning</type> or <type>Chat</type>.
- Use <type>Reasoning</type> for tasks that involve math, coding, or require domain knowledge, \
multi-step inference, logical deduction, or combining information to reach a conclusion.
- Use <type>Chat</type> for tasks that involve open-ended or factual conversation, stylistic \
rewrites, safety questions, or general helpfulness requests without deep reasoning.

If the task is Reasoning:
1. Solve the Client's question yourself and present your final answer within \
<solution>...</solution> tags.
2. Evaluate the two Chatbot responses based on correctness, completeness, and reasoning quality, \
referencing your own solution.
3. Include your evaluation inside <eval>...</eval> tags, quoting or summarizing the Chatbots using \
the following tags:
   - <quote_A>...</quote_A> for direct quotes from Chatbot A
   - <summary_A>...</summary_A> for paraphrases of Chatbot A
   - <quote_B>...</quote_B> for direct quotes from Chatbot B
   - <summary_B>...</summary_B> for paraphrases of Chatbot B
4. End with your final judgment in the format: <answer>[[A]]</answer> or <answer>[[B]]</answer>

If the task is Chat:
1. Generate evaluation criteria (rubric) tailored to the Client's question and context, enclosed \
in <rubric>...</rubric> tags.
2. Assign weights to each rubric item based on their relative importance.
3. Inside <rubric>, include a <justify>...</justify> section explaining why you chose those rubric \
criteria and weights.
4. Compare both Chatbot responses according to the rubric.
5. Provide your evaluation inside <eval>...</eval> tags, using <quote_A>, <summary_A>, <quote_B>, \
and <summary_B> as described above.
6. End with your final judgment in the format: <answer>[[A]]</answer> or <answer>[[B]]</answer>

Important Notes:
- Be objective and base your evaluation only on the content of the responses.
- Do not let response order, length, or Chatbot names affect your judgment.
- Follow the response format strictly depending on the task type.

Your output must follow one of the two formats below:

For Reasoning:
<type>Reasoning</type>

<solution> your own solution for the problem </solution>

<eval>
  include direct comparisons supported by <quote_A>...</quote_A> or <summary_A>...</summary_A>, \
and <quote_B>...</quote_B>, or <summary_B>...</summary_B>
</eval>

<answer>[[A/B]]</answer>

For Chat:
<type>Chat</type>

<rubric>
  detailed rubric items
  <justify> justification for the rubric </justify>
</rubric>

<eval>
  include direct comparisons supported by <quote_A>...</quote_A> or <summary_A>...</summary_A>, \
and <quote_B>...</quote_B>, or <summary_B>...</summary_B> tags
</eval>

<answer>[[A/B]]</answer>"""


def rm_r1(*, distilled: bool, max_tokens: int = 8192, temperature: float = 0.0) -> PairVerifier:
    """Compare as RM-R1 does: ``<answer>[[A]]</answer>`` or ``<answer>[[B]]</answer>`` at the end.

    The authors' script takes A wherever ``[[A]]`` stands in the text, also where the judge quotes
    the format and then names B; here the last answer counts, and no other text is a verdict.

    Args:
        distilled: the prompt of the checkpoints distilled from DeepSeek-R1
            (``RM-R1-DeepSeek-Distilled-Qwen-*``, no system turn); False for those of instruct
            models (``RM-R1-Qwen2.5-Instruct-*``).
        max_tokens, temperature: of an answer.

    Raises:
        InputError: fewer than one token, a temperature below 0.

    Source: Chen et al., "RM-R1: Reward Modeling as Reasoning" (arXiv 2505.02387); RM-R1-UIUC/RM-R1
    ``eval/reward-bench/rewardbench/generative.py``, with one turn of conversation.
    """
    return pair_verifier(
        "rm-r1-distilled" if distilled else "rm-r1",
        prompt=_DISTILLED if distilled else _SHOWN,
        system="" if distilled else _SYSTEM,
        verdict=r"<answer>\s*\[\[([^\]]*)\]\]\s*</answer>|<answer>",
        points={"A": 1, "B": 0},
        source="RM-R1-UIUC/RM-R1 eval/reward-bench/rewardbench/generative.py",
        unverified=("The most tokens and the temperature of the authors' runs.",),
        max_tokens=max_tokens,
        temperature=temperature,
    )
