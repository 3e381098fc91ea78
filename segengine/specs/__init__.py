"""The experiment file: sections, variants, overrides, messages and the JSON Schema. No torch."""
