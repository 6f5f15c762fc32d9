"""Published layouts of interpretable reward models, read and written."""
