from ft.conformance import conformance

test = conformance("ft-model-ernie-4-5-vl")
