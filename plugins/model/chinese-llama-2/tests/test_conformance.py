from ft.conformance import conformance

test = conformance("ft-model-chinese-llama-2")
