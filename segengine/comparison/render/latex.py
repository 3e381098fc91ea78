"""Tables of a comparison in LaTeX; all texts are escaped."""

from __future__ import annotations

import re

from segengine.comparison.table import Table

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': r"\textquotedbl{}", "−": r"$-$", "–": "--", "±": r"$\pm$", "≤": r"$\le$", "·": r"$\cdot$",
}  # fmt: skip

_SIGN = re.compile(r"(?<![^\s(])-(?=\d)")


def latex(table: Table) -> str:
    """A LaTeX table with booktabs; best scores are bold, intervals in parentheses."""
    columns = "".join("l" if column.text else "r" for column in table.columns)
    body = []
    for row in table.rows:
        cells = []
        for c in row:
            text = latex_text(c.text)
            text = rf"\textbf{{{text}}}" if c.best else text
            cells.append(f"{text} ({latex_text(c.note)})" if c.note else text)
        body.append("    " + " & ".join(cells) + r" \\")
    return "\n".join([
        r"% needs \usepackage{booktabs} and \usepackage[T1]{fontenc}", r"\begin{table}", r"  \centering",
        rf"  \caption{{{latex_text(table.noted_caption)}}}", rf"  \label{{tab:{table.name}}}", rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule", "    " + " & ".join(map(latex_text, table.header)) + r" \\", r"    \midrule", *body,
        r"    \bottomrule", r"  \end{tabular}", r"\end{table}",
    ]) + "\n"  # fmt: skip


def latex_text(text: str) -> str:
    """Text escaped for LaTeX; the sign of a number is a minus, not a hyphen."""
    return "".join(_LATEX.get(c, c) for c in _SIGN.sub("−", " ".join(text.split())))
