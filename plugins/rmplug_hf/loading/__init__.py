"""The loading of models and tokenizers."""
