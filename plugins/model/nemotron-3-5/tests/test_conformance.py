from ft.conformance import conformance

test = conformance("ft-model-nemotron-3-5")
