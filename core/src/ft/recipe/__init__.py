"""Recipes: reading, resolving, judging, explaining and writing them."""
