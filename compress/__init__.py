"""compress: how a network is made small and fast."""
