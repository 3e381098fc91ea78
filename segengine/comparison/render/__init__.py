"""The outputs of a judged comparison: terminal, Markdown, LaTeX, CSV, JSON and the page. They render and compute nothing."""
