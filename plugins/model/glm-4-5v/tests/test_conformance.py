from ft.conformance import conformance

test = conformance("ft-model-glm-4-5v")
