"""Programs: a converted network as constants and calls, what runs it, and its file."""
