"""Discovery of plugins and the kinds they provide."""
