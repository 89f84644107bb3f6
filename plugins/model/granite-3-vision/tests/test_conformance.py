from ft.conformance import conformance

test = conformance("ft-model-granite-3-vision")
