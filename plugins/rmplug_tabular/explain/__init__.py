"""What explains a reward: shares of families of features, a sparse sum, surprises, drift."""
