"""Detection of a folder's layout: files -> hypotheses about images and masks -> scores with evidence -> an experiment file."""
