"""What other programs have logged, as rows, and rows as they would have them."""
