"""Tables as Markdown and LaTeX, with every name escaped."""

from __future__ import annotations

import re

from segengine.comparison.page.table import Table
from segengine.comparison.render import cell as markdown_text

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': r"\textquotedbl{}", "−": r"$-$", "–": "--", "±": r"$\pm$", "≤": r"$\le$", "·": r"$\cdot$",
}  # fmt: skip

_SIGN = re.compile(r"(?<![^\s(])-(?=\d)")


def markdown(table: Table) -> str:
    """A table as Markdown, its caption in bold above."""
    lines = [f"**{markdown_text(table.caption)}**", "", _row(table.header)]
    lines.append("|" + "|".join(" :-- " if k in table.words else " --: " for k in range(len(table.header))) + "|")
    return "\n".join([*lines, *map(_row, table.plain())]) + "\n"


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(map(markdown_text, cells)) + " |"


def latex(table: Table) -> str:
    """A table for LaTeX with booktabs; the highest scores are bold, intervals stand in parentheses."""
    columns = "".join("l" if k in table.words else "r" for k in range(len(table.header)))
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
        rf"  \caption{{{latex_text(table.caption)}}}", rf"  \label{{tab:{table.name}}}", rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule", "    " + " & ".join(map(latex_text, table.header)) + r" \\", r"    \midrule", *body,
        r"    \bottomrule", r"  \end{tabular}", r"\end{table}",
    ]) + "\n"  # fmt: skip


def latex_text(text: str) -> str:
    """A text whose every character LaTeX takes literally; a number's sign is a minus, not a hyphen."""
    return "".join(_LATEX.get(c, c) for c in _SIGN.sub("−", " ".join(text.split())))
