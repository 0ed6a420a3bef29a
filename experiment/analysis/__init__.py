"""Turn the rows of a run into estimates, and estimates into verdicts."""
