from ft.conformance import conformance

test = conformance("ft-model-llama-3-2-vision")
