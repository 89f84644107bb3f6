from ft.conformance import conformance

test = conformance("ft-engine-transformers")
