from ft.conformance import conformance

test = conformance("ft-model-lfm-2-5-vl")
