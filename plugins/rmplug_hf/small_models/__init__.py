"""Small models made from nothing: real architectures, random weights, a tokenizer of their own."""
