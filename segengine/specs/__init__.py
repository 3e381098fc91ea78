"""What an experiment is: sections, variants, overrides, messages and the JSON Schema. No torch."""
