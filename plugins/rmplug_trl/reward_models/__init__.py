"""The training of reward models: what is learnt from, and by which loss."""
