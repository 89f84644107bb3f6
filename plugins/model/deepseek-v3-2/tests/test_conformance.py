from ft.conformance import conformance

test = conformance("ft-model-deepseek-v3-2")
