"""Two ways to score the same texts: how far they are apart, and the setting that explains it."""
