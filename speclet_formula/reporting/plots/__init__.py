"""Pictures of results, each a figure with a text that says what it shows; one file for each kind of result."""
