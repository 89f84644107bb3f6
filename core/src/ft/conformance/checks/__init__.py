"""The checks, one module for each kind; adding a function here is all that a new one takes."""
