"""What the workers of one machine have in common: files that each of them maps into its memory."""
