from ft.conformance import conformance

test = conformance("ft-model-kimi-k2-5")
