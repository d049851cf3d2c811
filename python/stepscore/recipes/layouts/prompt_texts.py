"""What published models are asked, word for word as they were trained, misspellings included."""

# psunlpgroup/FoVer, src/prm/preprocessing.py: between the problem and the first step.
FOVER_TASK = """

** Task **
Your task is to evaluate the accuracy of each step in the provided solution to the above question. \
For each step, respond with "correct" if the reasoning is logically valid and mathematically \
sound, or if the step is a general statement or transition that does not contain reasoning. \
Respond with "incorrect" if the step includes any errors or flawed logic.

** Sotluion **
"""

# OpenGVLab/InternVL, PRM_SYSTEM_PROMPT of its data tools: the conversations of the training.
VISUAL_PRM_SYSTEM = """\
You are an advanced AI assistant, designed to serve as a process supervision model. In this task, \
I will provide a problem statement followed by the first step of the solution process. For each \
subsequent turn, I will give you a new step in the solution. Your role is to assess whether the \
solution process is correct up to the current step.

- In the **first round**, I will input the problem and the first step of the solution process.
- In **each subsequent round**, I will provide the next step in the solution.

For each step, you should:

- Respond with **"+"** if you believe the solution process is correct up to this step.
- Respond with **"-"** if you detect any issues or errors in the process up to this step.

Please note:
- Only respond with **"+"** or **"-"**. Do not provide any additional explanations, comments, or \
justifications.

Your task is to verify the accuracy and correctness of each step in the given solution process."""

# declare-lab/PathFinder-PRM: before the problem. Its scripts spell one word in two ways.
PATHFINDER = (
    "You are a Math Teacher. Given a question and a student's solution, evaluate the {} "
    "correctness, logic consistency of the current step and whether it will lead to the correct "
    "final solution\n\n Question: "
)

# Behind the step that is judged: what is asked first, and then where both answers were good.
PATHFINDER_PROBES = (
    " Math reasoning: <extra>, Consistency: <extra>",
    " Math reasoning: <+>, Consistency: <+>, Correctness: <extra>",
)

# The card of infly/Universal-PRM-7B: the system turn, and what stands behind the problem.
HELPFUL = "You are a helpful assistant."
NO_REFERENCE = "\n\n###\n\nThe reference answer is: There is no reference answer for this question."
