from ft.conformance import conformance

test = conformance("ft-model-gemma-3n")
