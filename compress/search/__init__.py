"""The recipe that meets a goal: combinations of techniques, of which successive halving trains ever fewer for
ever longer (`halving`); what is wanted of them (`goal`); which of them nothing beats, and whether the gains
of two techniques add up (`front`). What a recipe's name means, and how one is trained, is the caller's: for
the command that is `compress/cli/search_space.py`."""
