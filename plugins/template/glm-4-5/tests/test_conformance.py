from ft.conformance import conformance

test = conformance("ft-template-glm-4-5")
