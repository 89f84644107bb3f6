"""Locked environments: what is installed, held against what was agreed on."""
