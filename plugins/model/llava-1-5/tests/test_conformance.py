from ft.conformance import conformance

test = conformance("ft-model-llava-1-5")
