"""Texts that models were trained with, as their authors' repositories hold them."""

# jhyun0414/medical_PRM, python/4_scoring_PRM.py; the chat template strips them.
MED_PRM = {
    "question": (
        "You are an evaluator assessing the logicality and validity of the reasoning in each step "
        "of the given explanation. In order to support the evaluation, the question and the "
        "explanation are provided. If the reasoning contains errors, output - after that step. If "
        "the reasoning in a step is logical and valid, output + after that step."
    ),
    "documents": (
        "You are an evaluator assessing the logicality and validity of the reasoning in each step "
        "of the given explanation. In order to support the evaluation, the relevant documents, the "
        "question, and the explanation are provided sequentially. If the reasoning contains "
        "errors, output - after that step. If the reasoning in a step is logical and valid, output "
        "+ after that step."
    ),
}
# The header that Llama 3.1's own template writes before a system prompt.
LLAMA_31_DATES = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"

# WindyLee0822/Process_Q_Model, bon_eval_hf.py.
PQM_BEFORE = (
    "Below is an instruction that describes a task.\nWrite a response that appropriately completes "
    "the request.\n\n### Instruction:\n"
)
PQM_BETWEEN = "\n\n### Response: Let's think step by step\n"

# lilinwz/ProRAG, prorag/utils/prompts.py.
PRORAG_BEFORE = """\
You are an assistant tasked with answering user questions by following a step-by-step reasoning \
process. Structure your entire response using the following special tokens and rules:
- `<step>...</step>`: Use this to explain the logical reasoning for each step in your process. \
Each step should bring you closer to solving the user's query.
- `<subquery>...</subquery>`: This block contains a specific question or sub-question that needs \
to be answered in order to progress. This is part of your reasoning, so make sure the subquery is \
clear and answerable.
- `<retrieval>...</retrieval>`: This block contains information retrieved from external sources \
(such as a search engine) that help answer the subquery. It can contain factual data or direct \
quotes.
- `<subanswer>...</subanswer>`: This block contains the answer to the preceding subquery. It's the \
most direct, concise answer that results from the retrieval.
- `<answer>...</answer>`: This is the final, conclusive answer to the user's main question, \
derived by combining the steps and subanswers.

Now, use this structure to answer the following user question:

User Question: """
