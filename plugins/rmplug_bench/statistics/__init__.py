"""Statistics of rewards on pairs."""
