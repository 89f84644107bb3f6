from ft.conformance import conformance

test = conformance("ft-model-minimax-m2")
