"""Renderers of a judged comparison: terminal, Markdown, LaTeX, CSV, JSON and HTML. They compute nothing."""
