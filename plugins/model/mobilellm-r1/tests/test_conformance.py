from ft.conformance import conformance

test = conformance("ft-model-mobilellm-r1")
