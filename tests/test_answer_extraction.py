"""What a text states, by kind of statement, in the compiled code and in the reference."""

from __future__ import annotations

import itertools
import os
import random
import time

import pytest

from stepscore import extract_answers, reference
from stepscore.reference.answer_key_extraction import alone, stated_answer

COUNT = int(os.environ.get("STEPSCORE_ANSWER_PAIRS", "5000"))

REASONING = [
    ("<think>first \\boxed{9}, no</think> The answer is 12.", "12"),
    ("<think>\nThe answer is 9.\n</think>\n\n12", "12"),
    ("<think>a</think>b<think>\\boxed{1}</think>\n**Answer:** 12", "12"),
    ("The answer is 9</think>\\boxed{12}", "12"),
    ("<think>The answer is 9.</think>", None),
    ("<think>The answer is 9. Wait, let me", None),
    ("<think>so \\boxed{9}, but", None),
    ("<thinking>9</thinking>The answer is 12", "12"),
    (
        "<|begin_of_thought|>\\boxed{9}<|end_of_thought|>\n\n<|begin_of_solution|>\n\\boxed{12}",
        "12",
    ),
    ("[THINK]9[/THINK]\\boxed{12}", "12"),
    ("◁think▷9◁/think▷The answer is 12.", "12"),
    ("<|channel|>analysis<|message|>9<|end|><|channel|>final<|message|>\\boxed{12}", "12"),
    ("<think>9</think><answer>12</answer>", "12"),
    ("<answer>\n\\boxed{12}\n</answer>", "12"),
    ("<answer>The answer is $12$.</answer>", "12"),
    ("<answer> (B) </answer>\nBecause \\boxed{9} is too small.", "(B)"),
    ("<answer>9</answer> no, <answer>12</answer>", "12"),
    ("<answer>12</answer> <answer></answer>", "12"),
    ("<Answer>12</Answer>", "12"),
    ("Reasoning\n<answer>12", "12"),
    ("It goes between <answer> and </answer>. \\boxed{12}", "12"),
]
BOXES = [
    ("Put it into \\boxed{}. The answer is 23.", "23"),
    ("\\boxed{23}\n\nAs asked, in \\boxed{}.", "23"),
    ("\\boxed{23} and \\boxed{...}", "23"),
    ("Write \\boxed{your answer}. The answer is 23.", "23"),
    ("The answer is 23.\n```python\nprint('\\\\boxed{9}')\n```", "23"),
    ("\\boxed{23}\n~~~\n\\boxed{9}\n~~~", "23"),
    ("```latex\n\\boxed{23}\n```", "23"),
    ("```python\n\\boxed{23}\n```", None),
    ("$\\boxed 7$", "7"),
    ("so \\boxed7.", "7"),
    ("\\boxed -7", "-7"),
    ("$\\boxed\\frac{1}{2}$", "\\frac{1}{2}"),
    ("$\\boxed \\text{no solution}$", "\\text{no solution}"),
    ("$\\boxed x$", "x"),
    ("\\boxed to show it. The answer is 3", "3"),
    ("\\boxedly 5", None),
    ("Hence $x=\\boxed{2}$ or $x=\\boxed{5}$.", "2, 5"),
    ("\\boxed{2} or \\boxed{3}", "2, 3"),
    ("$\\boxed{2}$, $\\boxed{3}$, and $\\boxed{4}$", "2, 3, 4"),
    ("$$\\boxed{2}$$\nor\n$$\\boxed{3}$$", "2, 3"),
    ("$$\\boxed{2}$$\n\nand\n\n$$\\boxed{3}$$", "2, 3"),
    ("\\[x=\\boxed{2} \\quad \\text{or} \\quad x=\\boxed{3}\\]", "2, 3"),
    ("\\begin{align*}\nx&=\\boxed{2}\\\\\ny&=\\boxed{3}\n\\end{align*}", "2, 3"),
    ("- $x=\\boxed{2}$\n- $x=\\boxed{3}$", "2, 3"),
    ("1. $\\boxed{2}$\n2. $\\boxed{3}$", "2, 3"),
    ("- Length: \\boxed{2}\n- Width: \\boxed{3}", "2, 3"),
    ("There are \\boxed{2} apples and \\boxed{3} pears.", "2, 3"),
    ("$x=\\boxed{2}$ 或 $x=\\boxed{3}$", "2, 3"),
    ("\\boxed{\\boxed{2} \\text{ or } \\boxed{3}}", "2, 3"),
    ("\\boxed{5}, that is \\boxed{5}", "5"),
    ("It is $\\boxed{5}$ and again $\\boxed{5}$", "5"),
    ("so \\boxed{5} and then \\boxed{6}.", "6"),
    ("\\boxed{2/4} = \\boxed{1/2}", "1/2"),
    ("\\boxed{5} no no, \\boxed{6}", "6"),
    ("\\boxed{2/4}, which is \\boxed{1/2}", "1/2"),
    ("$\\boxed{2/4} \\Rightarrow \\boxed{1/2}$", "1/2"),
    ("First \\boxed{5}. Then we add 1. So \\boxed{6}.", "6"),
    ("\\boxed{5}\n\n\\boxed{6}", "6"),
    ("We get \\boxed{5} here\nand the total \\boxed{6}", "6"),
    ("$\\boxed{35}$ percent", "35\\%"),
    ("$\\boxed{35}\\%$", "35\\%"),
    ("\\boxed{35\\%} percent", "35\\%"),
    ("$\\boxed{90}^\\circ$", "90^\\circ"),
    ("\\boxed{The\\ set}", "The\\ set"),
    ("\\boxed{$5$}", "5"),
    ("\\boxed{**5**}", "5"),
    ("\\boxed{\\begin{align*} x &= 7 \\end{align*}}", "x = 7"),
]
BELOW = [
    (f"{statement}{gap}{value}", stated)
    for statement in (
        "The answer is:", "The answer is", "**Answer:**", "Final Answer:", "**Final Answer**",
        "## Final Answer", "### 4. Final answer", "Answer", "ANSWER:", "- **Answer**:",
        "So we have, as the final answer:", "答案：", "**答案**",
    )
    for gap in ("\n", "\n\n", " \n \n")
    for value, stated in (
        ("7", "7"), ("-7", "-7"), ("- 7", "7"), ("* 7", "7"), ("• 7", "7"), ("1. 7", "7"),
        ("> 7", "7"), ("> - 7", "7"), ("**7**", "7"), ("### 7", "7"), ("`7`", "7"), ("$7$.", "7"),
        ("\\[\n7\n\\]", "7"), ("\\[\n7.\n\\]", "7"), ("$$\n7\n$$", "7"), ("$$7$$", "7"),
        ("> $$\n7\n$$", "7"), ("\\(7\\)", "7"), ("```\n7\n```", "7"), ("~~~text\n7\n~~~", "7"),
        ("```\n7", "7"), ("```\n\\boxed{7}\n```", "7"), ("\\begin{align*}\n7\n\\end{align*}", "7"),
        ("\\begin{equation}\nx = 7\n\\end{equation}", "x = 7"),
        ("\\[\n\\begin{aligned}\nx &= 3 + 4 \\\\\n &= 7\n\\end{aligned}\n\\]", "7"),
        ("- 2\n- 3", "2, 3"), ("1. 2\n2. 3\n\nDone", "2, 3"),
        ("\\begin{align}x&=2\\\\y&=3\\end{align}", "x=2, y=3"),
        ("7 dollars. That is it.", "7 dollars"), ("---\n7", "7"),
        ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}"),
        ("|a|b|\n", None), ("```python\na\nb\n```", None), ("\\[\n7", None), ("", None),
    )
]  # fmt: skip
ON_THE_LINE = [
    ("The answer is: \\[\n7\n\\]", "7"),
    ("The answer is $$\n7\n$$ dollars", "$$\n7\n$$ dollars"),
    ("Answer: ```7```", "7"),
    ("Answer: ```\n7\n```", "7"),
    ("> The answer is 7.", "7"),
    ("### The answer is 7.", "7"),
    ("**The answer is 7.**", "7"),
    ("The answer is **7**. Good.", "7"),
    ("- Answer: 11", "11"),
    ("3. Answer: 11", "11"),
    ("2) **Answer:** 11", "11"),
    ("(b) Answer: 11", "11"),
    ("✅ **Answer:** 11", "11"),
    ("Ans: 11", "11"),
    ("Ans = 11", "11"),
    ("ANSWER: 11", "11"),
    ("THE FINAL ANSWER IS 11", "11"),
    ("answer: 11", "11"),
    ("Final Answer: The final answer is $11$. I hope it is correct.", "11"),
    ("Therefore, the final answer is: $11$. I hope it is correct.", "11"),
    ("So 5+6=11. Answer: 11", "11"),
    ("Answer $11$", "11"),
    ("Answer \\[ 11 \\]", "11"),
    ("A: 11", "11"),
    ("**A:** 11", "11"),
    ("A: 11\nB: 12", None),
    ("(A) 11\n(B) 12", None),
    ("#### Answer: 11", "11"),
    ("Answer(s): 2, 3", "2, 3"),
    ("The answers are 2 and 3.", "2 and 3"),
    ("Answers: 2, 3", "2, 3"),
    ("The answer is the set of red things", "the set of red things"),
    ("The answer to the question is 11.", "11"),
    ("The answer to part (b) is 11.", "11"),
    ("The answer, in dollars, is $11.", "$11"),
    ("The answer in simplest form is 1/2.", "1/2"),
    ("The answer we get is 11.", "11"),
    ("The answer would be 11", "11"),
    ("The answer should be 11", "11"),
    ("the answer turns out to be 11", "11"),
    ("answer = 11", "11"),
    ("The answer equals 11.", "11"),
    ("The final result is 11.", "11"),
    ("Final result: 11", "11"),
    ("The answer is 11, which is odd.", "11"),
    ("The answer is 11 because 5+6=11.", "11"),
    ("The answer is 11, so we are done.", "11"),
    ("The answer is 11 (since 5+6=11).", "11"),
    ("The answer is 1,234, as shown.", "1,234"),
    ("The answer is (3, 4).", "(3, 4)"),
    ("The answer is $x = 2$ or $x = 3$.", "$x = 2$ or $x = 3$"),
    ("The answer is $0.5.$", "0.5"),
    ("The answer is $5 and 2 dimes.", "$5 and 2 dimes"),
    ('The answer is "Monday".', "Monday"),
    ("So the answer is no.", "no"),
    ("The answer is 42! Great.", "42!"),
    ("The answer is Paris!", "Paris"),
    ("The result is $6$", "6"),
    ("5+6=11\nSo the total is 11 apples.", "11 apples"),
    ("The result is 6. We add 2.", None),
    ("The result is obvious", None),
    ("12 is the answer.", "12"),
    ("Thus $x > 12$ is the solution.", "x > 12"),
    ("12 is the sum of 5 and 7.", None),
    ("Final Answer: The largest $n$ is 34.", "34"),
    ("Final Answer: The area of $ABC$ is $34$ units. I hope it is correct.", "$34$ units"),
    ("Answer: x is 5 and y is 7", "x is 5 and y is 7"),
    ("Answer: The sky is blue", "The sky is blue"),
    ("**Final Answer**\n\nThe largest number is 34.\n\nDone", "34"),
    ("So $12$ is the final answer.", "12"),
    ("(C) is the correct answer", "(C)"),
    ("La respuesta es 11.", "11"),
    ("Die Antwort lautet 11.", "11"),
    ("La réponse est 11.", "11"),
    ("Ответ: 11", "11"),
    ("정답: 11", "11"),
]
JUDGED = [
    (f"The answer is 6{sep}{later}", "6")
    for sep in (". ", ".\n", "\n\n")
    for later in (
        "The answer is correct.", "This answer is verified.", "The answer is right.",
        "The answer is found by adding 5 and 1.", "The answer is obtained by division.",
        "I hope my answer is correct!", "Our answer is reasonable since 5 < 6.",
        "The answer is not 7.", "The answer is a whole number.", "The answer is in simplest form.",
        "Let me check if the answer is 7", "What is the answer?", "Is this the correct answer?",
        "We verify that this answer is valid.", "The answer is given below:",
        "The answer is rounded to two places.", "This answer makes sense.", "That's the answer!",
        "The answer is consistent with 4.", "Do you like the answer", "The answer is",
        "The answer is $", "The answer is **", "The answer is \\(\\frac{1", "Answer:",
    )
]  # fmt: skip
JUDGED += [
    ("Both statements hold. The answer is correct.", "correct"),
    ("So the answer is invalid.", "invalid"),
    ("The answer is right triangle.", "right triangle"),
    ("The answer is not enough information.", "not enough information"),
    ("The answer is (B). It is not D. The answer is not (A).", "(B)"),
    ("The answer is not (A), (B), or (C).", "not (A), (B), or (C)"),
    ("The answer is found by adding 5 and 1.", None),
]
HEDGED = [
    (f"The answer is {hedge} 11.", "11")
    for hedge in (
        "therefore", "thus", "approximately", "about", "exactly", "equal to", "simply", "indeed",
        "then", "just", "roughly", "\\approx", "≈", "=", ":", "**approximately**", "probably",
        "therefore equal to", "clearly approximately", "as follows:", "given by",
    )
] + [
    ("The answer must be 11.", "11"),
    ("The answer must be equal to 11.", "11"),
    ("The answer is therefore Monday.", "Monday"),
    ("The answer is about time.", "about time"),
    ("The answer is for sure D, it can't be A.", "D"),
    ("Answer: approximately $11$", "11"),
    ("The answer is therefore:\n\n$11$", "11"),
    ("The answer is therefore \\[\n11.\n\\]", "11"),
    ("The answer is as follows:\n- 11", "11"),
]  # fmt: skip
CHOICES = [
    ("The correct option is C", "C"),
    ("The correct option is C.", "C"),
    ("The correct choice is (C).", "(C)"),
    ("The correct answer is option C.", "option C"),
    ("the best answer is C", "C"),
    ("The correct option is **C**.", "C"),
    ("The right choice is: C", "C"),
    ("Correct option: C", "C"),
    ("**Correct Option:** (C)", "(C)"),
    ("Therefore, option C is correct.", "C"),
    ("Option (C) is the correct answer.", "(C)"),
    ("The correct option is to wait.", None),
    ("The option is good", None),
    ("Options: A) 1 B) 2", None),
    ("The answer is (C) 12.", "(C) 12"),
    ("Answer: C) Paris", "C) Paris"),
    ("Answer: C. Paris is large.", "C"),
    ("The answer is C, since B is too small.", "C"),
    ("I think the correct answer is C", "C"),
]
HEADINGS = [
    ("#### 18", "18"),
    ("#### **18**", "18"),
    ("#### 18 ####", "18"),
    ("so 18 #### 18", "18"),
    ("####18", "18"),
    ("####\n18", "18"),
    ("#### 18 dollars", "18 dollars"),
    ("#### $1,800", "$1,800"),
    ("#### -18", "-18"),
    ("#### (B)", "(B)"),
    ("#### x = 18", "x = 18"),
    ("#### no", "no"),
    ("#### Paris", "Paris"),
    ("#### Conclusion\nThe answer is 18.", "18"),
    ("The answer is 18.\n#### Conclusion", "Conclusion"),
    ("The answer is 18.\n#### Conclusion\nDone.", "18"),
    ("#### 18\n\n#### Explanation\nAdd.", "18"),
    ("#### Step 2: add 3\n5+13=18", "18"),
    ("#### 2. Add the numbers\n5+13=18", "18"),
    ("##### Final Answer\n18", "18"),
    ("#### The answer is 18", "18"),
    ("####\nThe answer is 18", "18"),
    ("########\nThe answer is 18\n########", "18"),
    ("The answer is 18.\n####", "18"),
]
CHINESE = [
    ("答案：42", "42"),
    ("答案是42。", "42"),
    ("答案是：$42$。", "42"),
    ("答案为 42", "42"),
    ("所以答案是42，因为6*7=42。", "42"),
    ("最终答案：42", "42"),
    ("**答案：** 42", "42"),
    ("答案：４２", "４２"),
    ("答案是42千克。", "42千克"),
    ("答案是2，3。", "2，3"),
    ("故选：C", "C"),
    ("故选C。", "C"),
    ("因此选 (C)。", "(C)"),
    ("应选：C", "C"),
    ("正确选项是C。", "C"),
    ("答：42", "42"),
    ("答案是42。\n答案是正确的。", "42"),
    ("答案：每份应该是 34 吨。", "34 吨"),
    ("答案是否正确？", None),
    ("这个答案很好", None),
    ("Answer：42", "42"),
]
ENDS = [
    (f"The answer is 18.{end}", "18")
    for end in (
        "<|im_end|>", "<|eot_id|>", "</s>", " <|endoftext|>\n", "<end_of_turn>", "<eos>", " ки",
        "\nки", "<｜end▁of▁sentence｜>", " ✓", " ✅", "✔️", " 🎉🎉", " \u220e", "<|im_end|></s>",
        "<pad><pad>",
    )
] + [
    ("The answer is: 18 ки", "18"),
    ("\\boxed{18}<|im_end|>", "18"),
    ("#### 18</s>", "18"),
    ("5+13=18<|eot_id|>", "18"),
    ("18<|im_end|>", "18"),
    ("The answer is 18.<|eot_id|><|start_header_id|>user<|end_header_id|>", "18"),
    ("\\boxed{18} <|im_start|>user", "18"),
    ("5+13=18<|im_end|>\n<|im_start|>assistant", "18"),
    ("The answer is 18 ✅\nThat is all.", "18"),
    ("Answer: руки", "руки"),
]  # fmt: skip
COMPUTED = [
    ("5+13=18", "18"),
    ("So 5 + 13 = 18.", "18"),
    ("x = 18", "18"),
    ("**x = 18**", "18"),
    ("so $x = 5 + 13 = 18$", "18"),
    ("\\[\nx = 18\n\\]", "18"),
    ("$$ x = 18 $$", "18"),
    ("\\begin{align} x &= 5+13 \\\\ &= 18 \\end{align}", "18"),
    ("13+5=<<13+5=18>>18", "18"),
    ("There are 5+13 = 18 apples.", "18 apples"),
    ("x = 1, 2", "1, 2"),
    ("f(x) = 2x+1", "2x+1"),
    ("x = 1, y = 2", None),
    ("Thus x = 3 and y = 8", None),
    ("x = 1 or x = 2", "x = 1 or x = 2"),
    ("x = 1; x = 2", "x = 1; x = 2"),
    ("5+6=11, 11+7=18", None),
    ("x = 1. y = 2", None),
    ("\\begin{align} x &= 1 \\\\ y &= 2 \\end{align}", None),
    ("x = 3 +", None),
    ("x = 3 \\times", None),
    ("x = \\frac{1", None),
    ("so $x = 5", None),
    ("so \\(x = 5", None),
    ("so (x = 5", None),
    ("x = 12 apples in the", None),
    ("x = 5 and", None),
    ("x = 1, y", None),
    ("Total = 5 apples and then he bought six", None),
    ("Let x = 5", None),
    ("x =", None),
    ("x >= 5", "x >= 5"),
    ("x != 5", None),
    ("x => 5", None),
    ("so x = 5:", None),
    ("```python\nx = 5", None),
    ("```\nx = 5\n```", "x = 5"),
    ("So:\n```\nx = 5\n```", None),
    ("x = 5\nThat is all", None),
]
CONCLUDED = [
    # one value, behind the verb of the last sentence or behind a word that concludes
    ("We add.\nSo the sum of both is 12.", "12"),
    ("We add. Therefore, the sum of 5 and 7 is $12$.", "12"),
    ("Add them. Thus the pair $(a, b)$ that we look for is $(5, 7)$.", "(5, 7)"),
    ("So the point is (5, 7).", "(5, 7)"),
    ("We add.\nThe length is 12 feet. I hope it is correct.", "12 feet"),
    ("We add.\nSo there are 12 such numbers.", "12"),
    ("We add.\nHence $12$ of them remain.", "12"),
    ("We find that $y \\lt 12$.", "y \\lt 12"),
    ("We have 5+7=12. Therefore it grows by 12%.", "12%"),
    ("5 is too small, so there are 5 + 7 = 12 birds in the tree.", "12"),
    ("The number is not 5 but the price is 12€", "12€"),
    (
        "the zero matrix is $ \\begin{pmatrix} 0 \\\\ 0 \\end{pmatrix} $.",
        "\\begin{pmatrix} 0 \\\\ 0 \\end{pmatrix}",
    ),
    (
        "Here is the matrix: $\\begin{pmatrix} 1 & 2 \\end{pmatrix}$",
        "\\begin{pmatrix} 1 & 2 \\end{pmatrix}",
    ),
    ("It's not A, therefore I think it's B", "B"),
    ("I think it's (D).", "(D)"),
    ("5页 + 7页 = 12页 因此，他读了 **12页**。", "12页"),
    ("5 * 7 = 35颗。所以一共有 5 + 7 = 12只鸟和鹳鸟。", "12"),
    ("所以，他开始前的体重是72公斤。", "72公斤"),
    ("Donc, il a encore 12 g de cire.", "12"),
    ("En conclusion, le résultat de plus de 3 essais est de **12%**.", "12%"),
    ("<think>hm</think>Paris", "Paris"),
    ("<think>hm</think>\nNew York City!", "New York City"),
    # nothing that is said to be the result
    ("We add.\nx is 5 and y is 7.", None),
    ("So there are 5 boys and 7 girls.", None),
    ("He has 12 apples.", None),
    ("So we need to add 12.", None),
    ("Let us see if the sum is 12.", None),
    ("So is the sum 12?", None),
    ("So it is not 12.", None),
    ("So it isn't 12.", None),
    ("We add. So the price is $1", None),
    ("We add. So the price is 1", None),
    ("We add. So we have $5+7$", None),
    ("We add.\nThen, there are 5!", None),
    ("So we compute 5 + 7.", None),
    ("<think>hm</think>So we add the two", None),
    ("<think>hm</think>The answer is", None),
    ("<think>hm</think>We add them, and then we go on", None),
]
ALONE = [
    ("0.5", "0.5"),
    ("**42**", "42"),
    ("$42$.", "42"),
    ("<think>hm</think>\n42", "42"),
    ("B", "B"),
    ("hello", None),
    ("**", None),
    ("```", None),
    ("####", None),
    ("-", None),
    ("", None),
]
CLOSED = [
    # emphasis, or a heading, that began in front of the statement
    ("*Answer: 8*", "8"),
    ("*The answer is 8*.", "8"),
    ("First.\n_The answer is 8_\n", "8"),
    ("__Answer: 8__", "8"),
    ("***Answer: 8***", "8"),
    ("- *Answer: 8*", "8"),
    ("> _Answer: Ann_", "Ann"),
    ("# Answer: 8 #", "8"),
    ("### The answer is 8 ###", "8"),
    ("### *Answer: 8* ###", "8"),
    ("### Answer: C# ###", "C#"),
    ("**Answer:** *8*", "8"),
    # nothing closes
    ("The answer is C#", "C#"),
    ("The answer is 5*", "5*"),
    ("* The answer is 2*3*", "2*3*"),
    ("*Final*: the answer is 2*3", "2*3"),
    ("The answer is $Z_7^*$", "Z_7^*"),
    ("x_1 is 3, so the answer is y_2", "y_2"),
]
KINDS = {
    "closed": CLOSED,
    "reasoning": REASONING,
    "boxes": BOXES,
    "below": BELOW,
    "on the line": ON_THE_LINE,
    "judged": JUDGED,
    "hedged": HEDGED,
    "choices": CHOICES,
    "headings": HEADINGS,
    "chinese": CHINESE,
    "ends": ENDS,
    "computed": COMPUTED,
    "concluded": CONCLUDED,
    "alone": ALONE,
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_text_states(kind: str):
    texts = [text for text, _ in KINDS[kind]]
    for extract in (reference.extract_answers, extract_answers):
        wrong = [
            (text, stated, found)
            for (text, stated), found in zip(KINDS[kind], extract(texts), strict=True)
            if found != stated
        ]
        assert not wrong, (extract.__module__, wrong)


# --- the compiled code and the reference, on any text -------------------------------------------

PIECES = [
    "<think>", "</think>", "<answer>", "</answer>", "<Answer>", "[/THINK]", "◁/think▷",
    "<|im_end|>", "|>user", "</s>", " ки", "✅", "\n", "\n", "\n\n", " ", " ", "\t", ".", ". ",
    ", ", ",", ";", ":", "：", "。", "，", "、", "?", "! A", "!", "=", "&=", "&", "=>", "<", ">",
    "> ", "- ", "* ", "+ ", "• ", "*Answer: ", " ###", "1. ", "2) ", "(a) ", "*", "**", "_", "__",
    "`", "```", "```\n",
    "\n```\n", "```python\n", "~~~", "#", "## ", "####", "#### ", "|", "\"", "“", "”", "(", ")",
    "[", "]", "{", "}", "\\{", "\\}", "\\", "\\\\", "\\[", "\\]", "\\(", "\\)", "$", "$$",
    "\\boxed{", "\\boxed{}", "\\boxed ", "\\fbox{", "\\boxed{2}", "\\boxed{3}", "\\boxed7",
    "\\text{", "\\text{or}", "\\quad ", "\\Rightarrow", "\\ldots", "%", "\\%", "percent", "^\\circ",
    "\\begin{align*}", "\\end{align*}", "\\begin{aligned}", "\\end{aligned}", "\\begin{pmatrix}",
    "\\end{pmatrix}", "\\\\[4pt]", "\\frac{1}{2}", "\\times", "7", "12", "-3", "0.5", "1,234", "$5",
    "<<5+6=11>>", "x", "y", "x=", "B", "(C)", "A:", "B:", "Answer", "answer", "Answer:", "ANSWER",
    "Answers", "Ans", "(s)", "answer is", "The answer is ", "The final answer is: ",
    "the correct option is ", "Option C is correct", "is the answer", "The result is ",
    "Final result", "Final Answer", "**Final Answer**", "final ", "the ", "if ", "to the question ",
    "must be ", "would ", "therefore ", "approximately ", "equal to ", "as follows:", "correct",
    "verified", "found by ", "not 5", "a number", "because ", ", which ", " (since ", "and ", "or ",
    "then ", "so ", "word ", "So ", "is ", "it's ", "which ", "not ", "donc ", "we have ",
    "(5, 7)", "5 + 7", "12 feet", "12%", "因此", "所以", "12页", "为", "不是", "€", ". I hope so",
    "Let ", "apples ", "答案", "答案：", "答案是", "是", "否", "故选",
    "选择", "答：", "或", "，因", "正确", "réponse ", "est ", "Ответ: ", "答え", "é", "８",
    "\u3000", "\U0001f389",
]  # fmt: skip
KNOWN = [text for rows in KINDS.values() for text, _ in rows]


def mixed(rng: random.Random) -> str:
    """Pieces of statements, or known texts side by side with pieces lost and put in."""
    if rng.random() < 0.5:
        return "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 12)))
    joints = ["", " ", "\n", "\n\n", ". ", "</think>", "\n```\n"]
    text = rng.choice(joints).join(rng.choice(KNOWN) for _ in range(rng.randint(1, 3)))
    for _ in range(rng.randint(0, 3)):
        at = rng.randint(0, len(text))
        lost = rng.choice([0, 0, 1, 3, len(text) - at])  # or cut off
        text = text[:at] + rng.choice(["", "", rng.choice(PIECES)]) + text[at + lost :]
    return text


@pytest.mark.parametrize("seed", range(4))
def test_any_text_states_the_same_to_the_reference(seed: int):
    rng = random.Random(seed)
    texts = [mixed(rng) for _ in range(COUNT // 8)]
    stated = 0
    for text, compiled in zip(texts, extract_answers(texts), strict=True):
        plain = stated_answer(text)
        stated += plain is not None
        # Whether a text alone is understood is asked of the keys, of which the reference has fewer.
        assert compiled == plain or (plain is None and compiled == alone(text)), text
    assert stated > len(texts) // 3


def test_a_longer_text_around_a_final_answer_changes_nothing():
    """What comes before a box or a statement has no say; ends of turns and reasoning neither."""
    rng = random.Random(5)
    befores = [
        "", "We add.\n", "<think>\\boxed{1}</think>\n", "The answer is 3.\n\n", "x = 5\n",
        "```python\nprint(1)\n```\n", "#### 1. Plan\nAdd.\n\n", "Answer: no, wait.\n",
    ]  # fmt: skip
    afters = ["", "<|im_end|>", "</s>\n", " ✅", "\n\n", " ки"]
    states = [(text, stated) for text, stated in ON_THE_LINE + BELOW + CHOICES + CHINESE if stated]
    for text, stated in rng.sample(states, 400):
        if "result" in text or "total" in text or text.startswith("<"):
            continue
        fence = text.count("```") == 1
        whole = rng.choice(befores) + text + rng.choice(["\n"] if fence else afters)
        assert extract_answers([whole]) == [stated], whole


def test_time_is_linear_in_the_length():
    units = [
        "answer is ", "Answer:\n", "The answer is correct. ", "answer is so ",
        "answer: let a b c d e f ", "answer is \\[ ", "answer is \\(", "answer is $ ",
        "answer is $$ ", "\\boxed 5 ", "\\boxed{} or ", "\\boxed{1} or ", "\\boxed\\frac{", "#### ",
        "#### a b c d\n", "#### x ", "####\n", "<answer>", "<answer></answer>", "<think>",
        "</think>", "```\n", "~~~", "- ", "- 5\n", "> ", "x = 1, ", "\\begin{align}", "\\\\", "&=",
        "* ", "** ", "` ", "1. ", "答案", "答案是正确 ", "选", "option B is ", "is the answer ",
        "$x$ is the answer ", "answer to ", "answer,", "the final ", "✅", "ки ", "<|a|>",
        "(because ", ", so ", "A:\n", "The result is ", "so \\( ", "is $ ", "is $5. A ", "is (5,5",
        "so 5 + ", "it's ", "因此", "是 ", "is now ", "is * ",
    ]  # fmt: skip
    slow = []
    for unit, tail in itertools.product(units, ("", "\n", "}", " x")):
        text = unit * (100_000 // len(unit)) + tail
        seconds = []
        for _ in range(2):
            begin = time.process_time()
            extract_answers([text])
            seconds.append(time.process_time() - begin)
        if min(seconds) > 0.2:  # 5 ms for most; what is quadratic takes seconds
            slow.append((unit, tail, min(seconds)))
    assert not slow, slow
