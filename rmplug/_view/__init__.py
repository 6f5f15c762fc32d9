"""The pages of ``view``: a store in a browser, read-only."""
