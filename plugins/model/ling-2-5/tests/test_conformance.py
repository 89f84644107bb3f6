from ft.conformance import conformance

test = conformance("ft-model-ling-2-5")
