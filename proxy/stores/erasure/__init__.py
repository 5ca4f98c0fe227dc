"""Rows that are to go for good, a person's or a proof's, and whether they are gone."""
