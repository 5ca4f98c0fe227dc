"""How long rows are kept: the oldest trees go, by age and by size, while others write."""
