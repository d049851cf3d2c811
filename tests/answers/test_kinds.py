"""Answers of the kinds that graders are tested with: by keys, or by math-verify.

The kinds are those of the tests of Math-Verify, lighteval, SkyThought and open-instruct; the
inputs are other ones.
"""

from __future__ import annotations

import pytest

from stepscore import same_answer

pytest.importorskip("math_verify")

EQUAL = [
    # numbers, separators, currencies
    ("-13", "-13"),
    ("3861000", "3,861,000"),
    ("26000", "26 000"),
    ("31.0", "31"),
    ("4100.0", "4,100.0"),
    ("417,5", "417.5"),
    ("2350.25", "2350,25"),
    ("0,625", "0.625"),
    ("0.7", ".7"),
    ("615.49", "$615.49"),
    ("615.49", "615.49$"),
    ("615.49", "615.49€"),
    ("12345678900", r"12,\! 345,\! 678,\! 900"),
    ("7/12", r"\frac{7}{12}"),
    ("-7/12", r"-\frac7{12}"),
    (r"\sqrt{5}", r"\sqrt5"),
    ("2/7", r"\cfrac{2}{7}"),
    ("2/7", r"\left( \dfrac{2}{7} \right)"),
    ("2/7", r"\frac{2}{7} \text{liters}"),
    ("2/7", r"m = \frac{2}{7}"),
    ("160", r"160\textnormal{ km}"),
    ("10^{24}", "1e24"),
    ("0.00002", "2e-05"),
    ("80/9", "8 8/9"),
    ("1 000 2/3", "3002/3"),
    # percentages
    (r"37\%", "37 percent"),
    (r"37\%", "37 pct"),
    (r"37\%", "37 %"),
    (r"37\%", "37 percentage"),
    (r"37\%", "37"),
    (r"8 8/9\%", "80/900"),
    # relations and names
    ("n >= 4", r"n \geq 4"),
    ("y < 2", r"y \lt 2"),
    ("y != 2", r"y \neq 2"),
    (r"7 \leq y", r"y \ge 7"),
    ("y < 2", "-y > -2"),
    ("17", "t=17"),
    ("17", r"t\approx17"),
    ("2/9", r"t = 2/9 \approx 0.22"),
    ("6x+3y-4=0", r"y=-2x+\frac{4}{3}"),
    ("x^2/2 + y^2/5 = 1", "x^2/4 + y^2/10 = 1/2"),
    ("12x-7y+z+30=0", "-12x+7y-z-30=0"),
    ("u = v + 3", "u - (v+3) = 0"),
    ("h(y) = y", "h(y) = y"),
    (r"-4 < t < 11", "(-4, 11)"),
    (r"3 \le g(x) < 5", "[3, 5)"),
    (r"t \in [-4,11]", r"-4 \le t \le 11"),
    ("|CD|=6", "6"),
    ("C:D=6", "6"),
    ("g(x)=6", "6"),
    (r"\frac{AC}{BD}=\frac{2}{\sqrt{7}}", r"2/\sqrt{7}"),
    (r"S_{ABE}:S=5:18", "5:18"),
    ("(m,n)=(8,3)", "(8,3)"),
    (r"AC=9, BD=2", "9, 2"),
    (r"b_2 = 7, b_{11} = 4", r"b_{11} = 4, \quad b_2 = 7"),
    ("u=3", "u = 3"),
    # values side by side
    ("4 and 9", r"\boxed{4, 9}"),
    ("-3;-1;8", r"\{-1, 8, -3\}"),
    ("6, 2 or 5", "2,5,6"),
    (r"4 \text{ and } 9", "9, 4"),
    ("(4,9)or(9,4)", "(9,4), (4,9)"),
    (r"\pm 1999", r"\{-1999, 1999\}"),
    ("b=7,\\,-2,\\,-5", "-5,-2,7"),
    (r"p = -3 \text{ and } p = \dfrac{5}{6}", r"p=\frac56, p=-3"),
    (r"\{2\pm\sqrt{3},-5\}", r"\{-5, 2+\sqrt3, 2-\sqrt3\}"),
    (r"1 \pm \sqrt{23}", r"1-\sqrt{23}, 1+\sqrt{23}"),
    (
        r"x = \frac14, x = \frac{-1 \pm \sqrt{7}}{2}",
        r"x = \frac{1}{4}, x = \frac{-1 \pm \sqrt{7}}{2}",
    ),
    # intervals, matrices, expressions
    ("[2,6)", "[2,6)"),
    (r"[-3, -\frac13) \cup (-\frac13, \infty)", r"[-3,-1/3)\cup(-1/3,\infty)"),
    (
        r"\begin{pmatrix}3 & 1\\0 & 2\end{pmatrix}",
        r"\left[\begin{array}{cc}3 & 1 \\0 & 2\end{array}\right]",
    ),
    (
        r"\begin{pmatrix}\frac{1}{4\sqrt[4]{x}^3}&0\\-\cos(x)&1\end{pmatrix}",
        r"\begin{pmatrix}\frac{1}{4x^{3/4}}&0\\-\cos(x)&1\\\end{pmatrix}",
    ),
    (r"\frac{y+3}{5}", r"\frac{y}{5}+\frac{3}{5}"),
    (r"\cot^2(t)+1", r"\csc^2(t)"),
    ("5-5q", "5(1-q)"),
    (
        r"\frac{\sqrt{\sqrt{7}+\sqrt{19}}}{8+3\sqrt{5}}",
        r"\frac{\sqrt{\sqrt{7}+\sqrt{19}}}{3\sqrt{5}+8}",
    ),
    (r"3 \cos u \sin v", r"3 \sin v \cos u"),
    (r"\frac{\pi t}{s+t}", r"\frac{t\pi}{t+s}"),
    ("(1,\\frac{7}{4})", "(1,1.75)"),
    (r"\frac{4\sqrt{30}}{9}", r"\frac{8\sqrt{7.5}}{9}"),
    # what sentences conclude
    ("7", "We find that $t = 7$."),
    (r"t \le 7", r"Therefore $t \leq 7$ is the solution."),
    ("250.75", "the price is not 7 but the price is 250.75€"),
    (
        r"\begin{pmatrix}3 & 1\\0 & 2\end{pmatrix}",
        r"Some matrix: $\begin{pmatrix}3 & 1\\0 & 2\end{pmatrix}$",
    ),
    ("3/8", "First we count. Therefore, the chance of it is 3/8. <|im_start|>user"),
    ("9", "We count. So there are 9 different ways to do it. I hope it is correct."),
    ("27", "3袋 * 9颗 = 27颗。 因此，她一共有**27颗**糖果。"),
    ("9", "Donc, il a déjà 9 g de sel."),
    ("Rome", "<think>Where is it?</think>Rome"),
    # choices and words
    ("(C) Marta", "C"),
    (r"\text{D}", "D"),
    (r"\text{(B)}", r"\boxed{\text{B}}"),
    (r"\text{Odd}", "odd"),
    ("B.", "(B)"),
    (r"\textbf{(E)}\ 48", "E"),
    ("210_6", "210_{6}"),
    ("17 cm^2", r"17\mbox{ cm}^2"),
    ("75^{\\circ}", "75"),
    ("49只", "49"),
    ("0.08 \\text{ yuan}", r"\boxed{0.08 \text{ yuan}}"),
]

DIFFERENT = [
    ("[2,8)", "[2,6)"),
    ("(2,8)", "[2,8)"),
    ("3", "-[2,3)"),
    ("0.37", "37"),
    ("37/100", "37"),
    ("37", "37/100"),
    (r"37*\frac{1}{100}", "37"),
    ("n > 4", "n < 4"),
    (r"n \geq 4", r"n \leq 4"),
    ("9 = 4a+b", "4a+b"),
    ("a+2z = 0", "0"),
    ("3x + z = 7", "7"),
    ("b^2 + c = 0", "0"),
    ("(a+4)(b+3)", "(+4)(b+3)"),
    ("3", r"\frac{1+\sqrt{7}}{3}"),
    (r"1\sqrt{21}", "1"),
    ("x+3n+2", "x+2"),
    ("(8,3)", "(3,8)"),
    (r"\frac{7}{12}", r"\frac{7}{13}"),
    ("1021_3", "1022_3"),
    ("45678", "45, 678"),
    ("5", r"5\sqrt{3}"),
    ("n=2, 3, 5", "n=1, 3, 5"),
    ("E = (0, 2)", "E = (0, 2.5)"),
    (r"G_n = \sum_{k=0}^{n-1} G_k", r"G_n = \sum_{k=0}^{n-2} G_k"),
    (r"23, 40, and 71", "25, 40, and 71"),
    (r"\pm 1999", "1999"),
    ("11:00", "1:00"),
    ("e", "E"),
    ("(C) Marta", "A"),
    ("A", "B"),
    ("", "0"),
    ("4.13", "4.14"),
    (r"(y+2)^2", r"y^2 + 4y - 4"),
    ("9 8/9", "9"),
    ("7 7/7", "8"),
    ("5 7/0", "5"),
    (r"\begin{pmatrix}3 & 1\\0 & 2\end{pmatrix}", r"\begin{pmatrix}3 & 1\\0 & 4\end{pmatrix}"),
    ("(2,9,4),(1,1,1)", "(2,9,4),(1,1,1),(3,3,3)"),
    ("x=4,y=9", "9,4"),
    ("1.00000001", "1"),
    ("2", r"\boxed{3} no no \boxed{2}, \boxed{3}"),
    ("7", "there are 7 boys and 9 girls in the class."),
]


def test_what_is_equal_is_the_same_answer():
    known, answers = zip(*EQUAL, strict=True)
    for one, other in ((known, answers), (answers, known)):
        same = same_answer(one, other, verify="math-verify", timeout=60.0)
        assert [pair for pair, equal in zip(EQUAL, same, strict=True) if not equal] == []


def test_what_differs_is_not():
    known, answers = zip(*DIFFERENT, strict=True)
    for one, other in ((known, answers), (answers, known)):
        same = same_answer(one, other, verify="math-verify", timeout=60.0)
        assert [pair for pair, equal in zip(DIFFERENT, same, strict=True) if equal] == []
