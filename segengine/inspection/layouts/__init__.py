"""What a folder of files is: tree facts -> hypotheses about images and masks -> scores with evidence -> an experiment."""
